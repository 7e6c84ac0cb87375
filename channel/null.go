package channel

import "context"

// nullTransport is a device that is silent: what is written to it vanishes, and
// Read waits until a deadline or Close. It does not give io.EOF, as reading
// /dev/null does: that is a device that went away, which its supervisor would
// open again and again; and a chardev on null: is there to be attached to.
var nullTransport = &transport{
	name:    "null",
	nowhere: true,
	dial: func(ctx context.Context, _ *Env, _ Address) (Channel, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		silent, sink := Pipe(1)
		sink.Discard()
		silent.local, silent.remote = addr{"null", ""}, addr{"null", ""}
		return silent, nil
	},
}
