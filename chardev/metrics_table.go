package chardev

import "runtime"

// A family is one metric, of which there may be one for each chardev, frontend, reason.
type family struct {
	name string
	kind string
	help string

	// One of the two writes what there is of it.
	ofDaemon  func(*Server, *metricPage)
	ofConsole func(*sample, *metricPage)
}

const (
	gauge   = "gauge"
	counter = "counter"
)

// families are all metrics but those of the process and of Go, sorted by name. They
// are told of in METRICS.md.
var families = []family{
	{"chardevd_audit_lost_records_total", counter, "Records that are not in the audit log, as its disk took none or not fast enough.", func(s *Server, p *metricPage) {
		p.add(float64(s.auditLog.Load().Lost()))
	}, nil},
	{"chardevd_build_info", gauge, "Always 1; what this chardevd is built of.", func(s *Server, p *metricPage) {
		p.add(1, metricLabel("goversion", runtime.Version()), metricLabel("version", s.Version))
	}, nil},
	{"chardevd_certificate_expiry_timestamp_seconds", gauge, "When the first certificate of these credentials ends, as a Unix time.", func(s *Server, p *metricPage) {
		s.keyring.expiries(func(name string, at float64) { p.add(at, metricLabel("credentials", name)) })
	}, nil},
	{"chardevd_device_reconnects_total", counter, "How often the device was there again after it had gone.", nil, ofChardev(func(s *sample) int64 { return s.reconnects })},
	{"chardevd_device_up", gauge, "1: the device is open, or the guest that is waited for is there; 0: not.", nil, func(s *sample, p *metricPage) {
		p.add(yes(s.up), s.name)
	}},
	{"chardevd_discovered", gauge, "What the globs of [[discover]] have found, by what became of it.", func(s *Server, p *metricPage) {
		for state := range s.discovery.counts {
			p.add(float64(s.discovery.counts[state].Load()), discoveredLabels[state])
		}
	}, nil},
	{"chardevd_dropped_bytes_total", counter, "Bytes that somebody was to get and did not, by the reason.", nil, func(s *sample, p *metricPage) {
		for why, n := range s.dropped {
			p.add(float64(n), s.name, droppedLabels[why])
		}
	}},
	{"chardevd_frontend_clients", gauge, "Clients that are attached.", nil, ofWay(func(w *way) int64 { return int64(w.clients) })},
	{"chardevd_frontend_gap_bytes_total", counter, "Bytes of the console that clients could not have.", nil, ofWay(func(w *way) int64 { return w.gaps })},
	{"chardevd_frontend_lag_bytes", gauge, "How far the client that is behind most is behind what is printed.", nil, ofWay(func(w *way) int64 { return w.lag })},
	{"chardevd_frontend_received_bytes_total", counter, "Bytes of clients that the device was given.", nil, ofWay(func(w *way) int64 { return w.in })},
	{"chardevd_frontend_reconnects_total", counter, "How often the frontend was open again after it had not been.", nil, ofFrontend(func(w *way) float64 { return float64(w.reconnects) })},
	{"chardevd_frontend_sent_bytes_total", counter, "Bytes of the console that clients were given, all together.", nil, ofWay(func(w *way) int64 { return w.out })},
	{"chardevd_frontend_up", gauge, "1: the frontend is open; 0: not.", nil, ofFrontend(func(w *way) float64 { return yes(w.up) })},
	{"chardevd_input_bytes_total", counter, "Bytes that the device was given.", nil, ofChardev(func(s *sample) int64 { return s.bytesIn })},
	{"chardevd_journal_behind_bytes", gauge, "Bytes that were printed and are not in the journal yet.", nil, ofJournal(func(j *journalSample) float64 { return float64(j.behind) })},
	{"chardevd_journal_delay_seconds", gauge, "How long ago the oldest of these bytes was printed; 0: there are none.", nil, ofJournal(func(j *journalSample) float64 { return j.delay })},
	{"chardevd_journal_segments", gauge, "Files that the journal is in, without indexes.", nil, ofJournal(func(j *journalSample) float64 { return float64(j.segments) })},
	{"chardevd_journal_size_bytes", gauge, "What the journal takes on disk, with its indexes.", nil, ofJournal(func(j *journalSample) float64 { return float64(j.bytes) })},
	{"chardevd_journal_up", gauge, "1: the journal takes what is printed; 0: it fails, and is tried again.", nil, ofJournal(func(j *journalSample) float64 { return yes(j.up) })},
	{"chardevd_last_output_timestamp_seconds", gauge, "When the device last printed, as a Unix time; 0: not since the daemon began.", nil, func(s *sample, p *metricPage) {
		p.add(s.lastOutput, s.name)
	}},
	{"chardevd_logins_total", counter, "Passwords and tokens that were shown, by the result.", func(s *Server, p *metricPage) {
		for result := range s.logins {
			p.add(float64(s.logins[result].Load()), loginLabels[result])
		}
	}, nil},
	{"chardevd_output_bytes_total", counter, "Bytes that the device printed.", nil, ofChardev(func(s *sample) int64 { return s.bytesOut })},
	{"chardevd_refused_bytes_total", counter, "Bytes of input that the device was not given, by the reason.", nil, func(s *sample, p *metricPage) {
		for why, n := range s.refused {
			p.add(float64(n), s.name, refusedLabels[why])
		}
	}},
	{"chardevd_stream_clients", gauge, "Clients of a pass-through stream that are there.", ofStream(func(i StreamInfo) float64 { return float64(i.Clients) }), nil},
	{"chardevd_stream_dial_failures_total", counter, "Clients of a stream for whom the other side could not be reached.", ofStream(func(i StreamInfo) float64 { return float64(i.Failures) }), nil},
	{"chardevd_stream_received_bytes_total", counter, "Bytes of a stream's clients that the other side was given.", ofStream(func(i StreamInfo) float64 { return float64(i.BytesIn) }), nil},
	{"chardevd_stream_refused_total", counter, "Clients of a stream that were not let in.", ofStream(func(i StreamInfo) float64 { return float64(i.Refused) }), nil},
	{"chardevd_stream_sent_bytes_total", counter, "Bytes of the other side that a stream's clients were given.", ofStream(func(i StreamInfo) float64 { return float64(i.BytesOut) }), nil},
	{"chardevd_uart_breaks_total", counter, "Breaks that the serial port has received, as its driver counts.", nil, func(s *sample, p *metricPage) {
		if s.line != nil {
			p.add(float64(s.line.Break), s.name)
		}
	}},
	{"chardevd_uart_errors_total", counter, "Bytes that the serial port has received damaged, or lost, as its driver counts.", nil, func(s *sample, p *metricPage) {
		if s.line != nil {
			for _, kind := range uartErrors {
				p.add(float64(kind.of(s.line)), s.name, kind.label)
			}
		}
	}},
}

// ofStream is of each pass-through stream.
func ofStream(value func(StreamInfo) float64) func(*Server, *metricPage) {
	return func(s *Server, p *metricPage) {
		for _, st := range s.allStreams() {
			p.add(value(st.info()), metricLabel("stream", st.name))
		}
	}
}

// ofChardev is a count of a chardev.
func ofChardev(value func(*sample) int64) func(*sample, *metricPage) {
	return func(s *sample, p *metricPage) { p.add(float64(value(s)), s.name) }
}

// ofWay is of each way in of a chardev.
func ofWay(value func(*way) int64) func(*sample, *metricPage) {
	return func(s *sample, p *metricPage) {
		for i := range s.ways {
			p.add(float64(value(&s.ways[i])), s.name, s.ways[i].label)
		}
	}
}

// ofFrontend is of each frontend of a chardev.
func ofFrontend(value func(*way) float64) func(*sample, *metricPage) {
	return func(s *sample, p *metricPage) {
		for i := range s.ways {
			if s.ways[i].fixed {
				p.add(value(&s.ways[i]), s.name, s.ways[i].label)
			}
		}
	}
}

// ofJournal is of each chardev that is to have a journal.
func ofJournal(value func(*journalSample) float64) func(*sample, *metricPage) {
	return func(s *sample, p *metricPage) {
		if s.journal != nil {
			p.add(value(s.journal), s.name)
		}
	}
}

func yes(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
