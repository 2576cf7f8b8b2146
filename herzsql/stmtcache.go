package herzsql

import "database/sql/driver"

// stmtsKept is how many prepared statements rest on one connection. A server keeps memory for each.
const stmtsKept = 64

// stmtCache holds the prepared statements of one connection that nobody uses now, least recently used first. The zero value
// is ready.
type stmtCache struct{ rest []restingStmt }

type restingStmt struct {
	query string
	stmt  driver.Stmt
}

// take removes and returns a resting statement, or nil.
func (c *stmtCache) take(query string) driver.Stmt {
	for i := len(c.rest) - 1; i >= 0; i-- {
		if c.rest[i].query == query {
			s := c.rest[i].stmt
			c.rest = append(c.rest[:i], c.rest[i+1:]...)
			return s
		}
	}
	return nil
}

// put lets a statement rest; the one that has rested longest is closed when there are too many.
func (c *stmtCache) put(query string, s driver.Stmt) error {
	c.rest = append(c.rest, restingStmt{query, s})
	if len(c.rest) <= stmtsKept {
		return nil
	}
	oldest := c.rest[0].stmt
	c.rest = append(c.rest[:0], c.rest[1:]...)
	return oldest.Close()
}
