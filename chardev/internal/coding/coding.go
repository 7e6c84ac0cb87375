// Package coding reads which content codings a request accepts.
package coding

import (
	"net/http"
	"strconv"
	"strings"
)

// AcceptsGzip reads Accept-Encoding as far as browsers and scrapers write it (RFC 9110
// section 12.5.3): gzip is named, and not with a weight of 0.
func AcceptsGzip(r *http.Request) bool {
	for one := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(one), ";")
		if strings.TrimSpace(name) == "gzip" {
			q, given := strings.CutPrefix(strings.TrimSpace(weight), "q=")
			f, err := strconv.ParseFloat(q, 64)
			return !given || err == nil && f > 0
		}
	}
	return false
}
