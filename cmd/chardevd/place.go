package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"chardevd/channel"
	"chardevd/chardev"
)

// placeFlag is a place in a stream, as the API takes it. Local times are those of
// this process.
type placeFlag string

func (f *placeFlag) Type() string   { return "PLACE" }
func (f *placeFlag) String() string { return string(*f) }
func (f *placeFlag) Set(s string) error {
	place, err := chardev.CheckPlace(s)
	*f = placeFlag(place)
	return err
}

// durationFlag is a duration as the config file has it; zero: none is given.
type durationFlag time.Duration

func (f *durationFlag) Type() string { return "DURATION" }
func (f *durationFlag) String() string {
	if *f == 0 {
		return ""
	}
	return channel.FormatDuration(time.Duration(*f))
}
func (f *durationFlag) Set(s string) error {
	d, err := channel.ParseDuration(s)
	*f = durationFlag(d)
	return err
}

// regexpFlag is a regular expression.
type regexpFlag string

func (f *regexpFlag) Type() string   { return "REGEXP" }
func (f *regexpFlag) String() string { return string(*f) }
func (f *regexpFlag) Set(s string) error {
	if s == "" {
		return errors.New("want a regular expression")
	}
	_, err := regexp.Compile(s)
	*f = regexpFlag(s)
	return err
}

// numberFlag is a number above 0.
type numberFlag int64

func (f *numberFlag) Type() string   { return "N" }
func (f *numberFlag) String() string { return strconv.FormatInt(int64(*f), 10) }
func (f *numberFlag) Set(s string) error {
	return setNumber((*int64)(f), s, 1, "above 0")
}

// countFlag is a number from 0 on.
type countFlag int64

func (f *countFlag) Type() string   { return "N" }
func (f *countFlag) String() string { return strconv.FormatInt(int64(*f), 10) }
func (f *countFlag) Set(s string) error {
	return setNumber((*int64)(f), s, 0, "from 0 on")
}

// setNumber reads a number that is at least that much, which is said by words.
func setNumber(to *int64, s string, least int64, words string) error {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < least || n > 1<<62 {
		return fmt.Errorf("want a number %s, have %q", words, s)
	}
	*to = n
	return nil
}

// sizeFlag is the size of a terminal.
type sizeFlag string

func (f *sizeFlag) Type() string   { return "COLUMNSxROWS" }
func (f *sizeFlag) String() string { return string(*f) }
func (f *sizeFlag) Set(s string) error {
	*f = sizeFlag(s)
	return chardev.CheckSize(s)
}
