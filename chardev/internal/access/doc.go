// Package access decides who may do what to which chardev.
//
// An Identity is who somebody is, as far as that was proven. A Rule says what whom
// it is for may do on which chardevs. Rules are such a list: the first rule that is
// for somebody and for a chardev decides alone, about every permission; where none is,
// nobody may anything. So a rule further down never changes what one further up has
// decided, and one that permits nothing (may = []) keeps somebody out.
//
// It does no I/O and knows nothing of chardevs but their names.
package access
