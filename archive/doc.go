// Package archive writes and reads what is kept of runs that have ended: records under keys, in
// the order of Compare, in frames of zstd of which each can be read by itself.
//
//	frame | frame | .. | skippable frame: index, length of the index, magic
//
// A frame holds records until they are 1 MiB, or one that is larger alone. The index has the
// first key and the length of each, so that who wants some records reads the end of the file
// and the frames that these are in, and who writes or reads all of them holds one frame at a
// time. zstd's own tools see a file of records, one after the other: the length of the key, the
// key, the length of the value, the value.
//
// It knows neither what the records say nor where files are.
package archive
