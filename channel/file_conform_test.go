package channel_test

import (
	"testing"

	"chardevd/channel/channeltest"
)

// conformFile holds both kinds to the suite: what is written, and what is followed.
func conformFile(t *testing.T) {
	traits := channeltest.Traits{
		NoPeer:      "a file is nobody",
		NeverFull:   "a file grows",
		NoTry:       "no write to a disk is sure not to wait",
		NoHalfClose: "nobody reads a file as a stream",
	}
	t.Run("append", func(t *testing.T) {
		channeltest.Run(t, channeltest.Dialled("file:"+t.TempDir()+"/log"), traits)
	})
	t.Run("follow", func(t *testing.T) {
		traits := traits
		traits.NeverFull, traits.NoTry, traits.NoHalfClose = "what is written is thrown away", "", ""
		channeltest.Run(t, channeltest.Dialled("file:"+t.TempDir()+"/log?mode=follow"), traits)
	})
}
