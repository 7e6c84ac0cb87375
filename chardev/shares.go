package chardev

import "sync"

// Shares are what people have of something of which each may have so much: who takes all
// of that keeps out himself, and nobody else. Those of whom nothing is known are one
// person. The zero value is ready.
type shares struct {
	mu sync.Mutex
	of map[string]int // by what they are called; none is 0
}

// take takes one more for somebody, until give; it returns false if he has as many as he
// may. 0: that is any number.
func (s *shares) take(who string, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if most != 0 && s.of[who] >= most {
		return false
	}
	if s.of == nil {
		s.of = map[string]int{}
	}
	s.of[who]++
	return true
}

// give gives back what was taken.
func (s *shares) give(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[who]--; s.of[who] == 0 {
		delete(s.of, who)
	}
}
