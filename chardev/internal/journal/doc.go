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
//   - A record of the index that was not written wholly is cut; records carry their
//     length and a checksum. One in the middle that is damaged is stepped over.
//   - An index that is lost is made anew from the size of the data, its neighbours and
//     the times of its files. Data is never removed but by retention.
package journal
