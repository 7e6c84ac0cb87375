package chardev

import (
	dto "github.com/prometheus/client_model/go"
)

// A family is one metric, of which there may be one for each chardev, frontend, reason.
type family struct {
	name string
	kind dto.MetricType
	help string

	// One of the two adds what there is of it.
	ofDaemon  func(*Server, addMetric)
	ofConsole func(*sample, addMetric)
}

// An addMetric takes a metric of a family.
type addMetric func(labels metricLabels, value float64)

const (
	gauge   = dto.MetricType_GAUGE
	counter = dto.MetricType_COUNTER
)

// families are all metrics but those of the process and of Go, sorted by name. They
// are told of in METRICS.md.
var families = []family{
	{"chardevd_audit_lost_records_total", counter, "Records that are not in the audit log, as its disk took none or not fast enough.", func(s *Server, add addMetric) {
		add(nil, float64(s.auditLog.Load().Lost()))
	}, nil},
	{"chardevd_build_info", gauge, "Always 1; what this chardevd is built of.", func(s *Server, add addMetric) {
		add(s.buildLabels(), 1)
	}, nil},
	{"chardevd_certificate_expiry_timestamp_seconds", gauge, "When the first certificate of these credentials ends, as a Unix time.", func(s *Server, add addMetric) {
		s.keyring.expiries(func(name string, at float64) { add(metricLabels{metricLabel("credentials", name)}, at) })
	}, nil},
	{"chardevd_device_reconnects_total", counter, "How often the device was there again after it had gone.", nil, ofChardev(func(s *sample) int64 { return s.reconnects })},
	{"chardevd_device_up", gauge, "1: the device is open, or the guest that is waited for is there; 0: not.", nil, func(s *sample, add addMetric) {
		add(s.labels, yes(s.up))
	}},
	{"chardevd_dropped_bytes_total", counter, "Bytes that somebody was to get and did not, by the reason.", nil, func(s *sample, add addMetric) {
		for why, n := range s.dropped {
			add(s.drops[why][:], float64(n))
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
	{"chardevd_last_output_timestamp_seconds", gauge, "When the device last printed, as a Unix time; 0: not since the daemon began.", nil, func(s *sample, add addMetric) {
		add(s.labels, s.lastOutput)
	}},
	{"chardevd_logins_total", counter, "Passwords and tokens that were shown, by the result.", func(s *Server, add addMetric) {
		for result := range s.logins {
			add(metricLabels{loginLabels[result]}, float64(s.logins[result].Load()))
		}
	}, nil},
	{"chardevd_output_bytes_total", counter, "Bytes that the device printed.", nil, ofChardev(func(s *sample) int64 { return s.bytesOut })},
	{"chardevd_refused_bytes_total", counter, "Bytes of input that the device was not given, by the reason.", nil, func(s *sample, add addMetric) {
		for why, n := range s.refused {
			add(s.reasons[why][:], float64(n))
		}
	}},
	{"chardevd_uart_breaks_total", counter, "Breaks that the serial port has received, as its driver counts.", nil, func(s *sample, add addMetric) {
		if s.line != nil {
			add(s.labels, float64(s.line.Break))
		}
	}},
	{"chardevd_uart_errors_total", counter, "Bytes that the serial port has received damaged, or lost, as its driver counts.", nil, func(s *sample, add addMetric) {
		if s.line != nil {
			for _, kind := range uartErrors {
				add(metricLabels{s.labels[0], kind.label}, float64(kind.of(s.line)))
			}
		}
	}},
}

// ofChardev is a count of a chardev.
func ofChardev(value func(*sample) int64) func(*sample, addMetric) {
	return func(s *sample, add addMetric) { add(s.labels, float64(value(s))) }
}

// ofWay is of each way in of a chardev.
func ofWay(value func(*way) int64) func(*sample, addMetric) {
	return func(s *sample, add addMetric) {
		for i := range s.ways {
			add(s.ways[i].labels, float64(value(&s.ways[i])))
		}
	}
}

// ofFrontend is of each frontend of a chardev.
func ofFrontend(value func(*way) float64) func(*sample, addMetric) {
	return func(s *sample, add addMetric) {
		for i := range s.ways {
			if s.ways[i].fixed {
				add(s.ways[i].labels, value(&s.ways[i]))
			}
		}
	}
}

// ofJournal is of each chardev that is to have a journal.
func ofJournal(value func(*journalSample) float64) func(*sample, addMetric) {
	return func(s *sample, add addMetric) {
		if s.journal != nil {
			add(s.labels, value(s.journal))
		}
	}
}

func yes(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
