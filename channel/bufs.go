package channel

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
