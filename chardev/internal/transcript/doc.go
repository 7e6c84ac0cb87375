// Package transcript shows what a console printed, to people and to programs: a
// range of the stream as text, as the bytes themselves, as JSON or as a recording,
// searched or whole, with times, with events, and going on with what comes.
//
//	Source ─Read→ [Query.Write] ─→ raw, recording
//	                         └─→ lines ─(grep, context)→ text, JSON, raw lines
//
// It reads a Source and knows nothing of where that has its bytes. What it needs of
// memory does not depend on how much there is to read: a few blocks, and one line,
// which is cut where it is longer than 64 KiB.
package transcript
