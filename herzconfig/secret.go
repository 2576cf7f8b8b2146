package herzconfig

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// withoutSecrets gives the error of a driver without its words where these could repeat a part of the password or of the environment: drivers
// quote the data source name that they cannot parse.
func withoutSecrets(err error, p Pool) error {
	if err == nil {
		return nil
	}
	said := err.Error()
	for _, s := range append(passwords(string(p.DSN)), p.from.has["dsn"].used...) {
		if repeats(said, s) {
			return errors.New("the driver cannot use the dsn (its words are left out: they repeat a secret); compare it with the form that its documentation shows")
		}
	}
	return errors.New(strings.TrimPrefix(said, "herz/herzsql: "))
}

// repeats reports whether a text has three letters in a row of a secret, or all of a shorter one.
func repeats(said, secret string) bool {
	const enough = 3
	if len(secret) <= enough {
		return secret != "" && strings.Contains(said, secret)
	}
	for i := 0; i+enough <= len(secret); i++ {
		if strings.Contains(said, secret[i:i+enough]) {
			return true
		}
	}
	return false
}

var (
	// assigned finds password=…, in the forms key=value and URL.
	assigned = regexp.MustCompile(`(?i)(?:pass\w*|pwd|secret|token|key)\s*=\s*('[^']*'|[^\s&;]+)`)
	// userinfo finds what stands between the first colon and the last @.
	userinfo = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9+.-]*://)?[^:@/]*:(.*)@`)
)

// passwords are the parts of a data source name that could be secrets, in the forms of the known drivers.
func passwords(dsn string) []string {
	var all []string
	if u, err := url.Parse(dsn); err == nil && u.User != nil {
		if word, ok := u.User.Password(); ok {
			all = append(all, word)
		}
	}
	if m := userinfo.FindStringSubmatch(dsn); m != nil {
		all = append(all, m[1])
	}
	for _, m := range assigned.FindAllStringSubmatch(dsn, -1) {
		all = append(all, strings.Trim(m[1], "'"))
	}
	return all
}
