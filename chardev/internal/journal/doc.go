// Package journal keeps the bytes of a stream on disk, by their offset since the
// stream began, for one writer and any number of readers.
//
// A journal is a folder. The newest bytes are in NAME.log, the current segment,
// which holds what the device sent and nothing else. When it is full (or old) it is
// sealed: called NAME-YYYYMMDD-HHMMSS.log after the time of its first byte (UTC;
// further ones of a second get _002, _003 …), and perhaps compressed, .log.zst.
// Beside each segment lies its index, .idx: what offset its first byte has, where
// bytes are missing, when they came, and what happened beside them.
//
// What holds through a crash at any point:
//
//   - Bytes are written at the end of a file that has nothing else in it, so what was
//     written is there. What has to be known to say which bytes they are is in the
//     index before they are in the data: the offset of the first one, and each gap.
//   - An offset is not given twice. The stream runs ahead of the disk, so the index
//     has a reserve: offsets below it may have been given out. After a run that did
//     not end cleanly the stream goes on there, and what is between is a hole (hole.go):
//     a gap, of which the index says that mostly nothing is missing in it.
//   - There is an index of the current segment at any time, or, while one is sealed, that
//     of the next in the making. So what is removed is missed.
//   - A record of the index that was not written wholly is cut; records carry their
//     length and a checksum. One in the middle that is damaged is stepped over.
//   - An index that is lost is made anew from the size of the data, its neighbours and
//     the times of its files. Data is never removed but by retention.
//
// And through whatever somebody does to the files, also while they are written: two
// bytes are never told under one offset of an epoch. How far offsets were given out and
// how many gaps there are is in the header of an index, which no cut takes away without
// being noticed. Where either is lost, or where bytes belong, all that is there gets a
// new epoch, under which nothing was told yet; bytes whose gaps are lost while the
// journal is open are missing. Not noticed are: files that are put back as they all were
// once; other bytes in place of data, as many as there were; and, of a disk that does not
// take the reserve, the offsets that a writer gives out without it.
package journal
