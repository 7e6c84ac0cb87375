package channel

import "sync"

// SizeOf is how many bytes bufs have.
func SizeOf(bufs [][]byte) int64 {
	n := int64(0)
	for _, b := range bufs {
		n += int64(len(b))
	}
	return n
}

// SlicesOf appends to iov the size bytes of bufs that begin at skip. The bytes are not
// copied.
func SlicesOf(iov, bufs [][]byte, skip, size int64) [][]byte {
	for _, b := range bufs {
		if skip >= int64(len(b)) {
			skip -= int64(len(b))
			continue
		}
		b = b[skip:]
		skip = 0
		if int64(len(b)) >= size {
			return append(iov, b[:size])
		}
		iov = append(iov, b)
		size -= int64(len(b))
	}
	return iov
}

// ones are slices of one piece for writeOne.
var ones = sync.Pool{New: func() any { return new([1][]byte) }}

// writeOne is the Write of what has a Writev. (A slice of one that an interface is given
// would be garbage for each key that is typed.)
func writeOne(w interface{ Writev([][]byte) (int64, error) }, p []byte) (int, error) {
	one := ones.Get().(*[1][]byte)
	one[0] = p
	n, err := w.Writev(one[:])
	one[0] = nil
	ones.Put(one)
	return int(n), err
}
