package config

// A Change is a setting whose value in a new configuration differs.
type Change struct {
	Key      string
	From, To string // as [Setting.Text] shows them, "" for what is more than a line
}

// Apply takes from next what is Live, and returns what has changed, and what has not because that needs a
// restart. Of the middleware, what modules may is as if it were Live; which there are and where they are mounted is not. What needs one is returned again by every later call, for as long as it differs.
func (c *Config) Apply(next *Config) (applied, restart []Change) {
	for i, s := range c.settings {
		to := next.settings[i]
		if s.show() == to.show() {
			s.Origin = to.Origin
			continue
		}
		change := Change{Key: s.Key}
		if s.setNode == nil {
			change.From, change.To = s.Text(), to.Text()
		}
		if s.Key == "middleware" && sameMounts(c.Middleware, next.Middleware) {
			c.Middleware = next.Middleware
			s.Origin = to.Origin
			applied = append(applied, change)
			continue
		}
		// A file can be replaced by another. Whether there is one decides about more than that.
		if !s.Live || s.isPath && !s.dynamic && (s.show() == "" || to.show() == "") {
			restart = append(restart, change)
			continue
		}
		applied = append(applied, change)
		s.parse(to.show())
		s.Origin = to.Origin
	}
	c.finish()
	return applied, restart
}
