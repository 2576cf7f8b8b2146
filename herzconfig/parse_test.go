package herzconfig_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"herz.example/herz/herzconfig"
	"herz.example/herz/pool"
)

// everyLimit has a key for each field of pool.Limits, with a value that is not its default.
const everyLimit = `pool:
  maxOpen: 11
  minIdle: 2
  keepWarm: 3
  keepWarmElastic: 0.5
  maxWaiters: 12
  maxDialing: 5
  maxClosing: 6
  reconnectPerSecond: 7
  maxUses: 13
  maxLifetime: 31m
  maxLifetimeJitter: 2m
  maxIdleTime: 11m
  heartbeatEvery: 31s
  heartbeatTimeout: 4s
  pingAfter: 2s
  acquireTimeout: 29s
  leakAfter: 1m
  testOnBorrow: false
`

func TestEveryLimitOfThePoolHasAKeyThatSetsIt(t *testing.T) {
	s := parse(t, everyLimit)
	p, ok := s.Pool("")
	if !ok {
		t.Fatal("no DefaultPool")
	}
	v := reflect.ValueOf(p.Limits)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if name == "TestOnBorrow" { // false here, because pingAfter has no effect beside it
			continue
		}
		if v.Field(i).IsZero() {
			t.Errorf("no key sets Limits.%s: give it one in keys.go, in limits() and in this text", name)
		}
		key := strings.ToLower(name[:1]) + name[1:]
		if !strings.Contains(everyLimit, "  "+key+": ") {
			t.Errorf("Limits.%s is not the key %s", name, key)
		}
	}
	want := pool.Limits{
		MaxOpen: 11, MinIdle: 2, KeepWarm: 3, KeepWarmElastic: 0.5, MaxWaiters: 12, MaxDialing: 5, MaxClosing: 6, ReconnectPerSecond: 7, MaxUses: 13,
		MaxLifetime: 31 * time.Minute, MaxLifetimeJitter: 2 * time.Minute, MaxIdleTime: 11 * time.Minute, HeartbeatEvery: 31 * time.Second,
		HeartbeatTimeout: 4 * time.Second, PingAfter: 2 * time.Second, AcquireTimeout: 29 * time.Second, LeakAfter: time.Minute,
	}
	if p.Limits != want {
		t.Errorf("got %+v", p.Limits)
	}
	if q, _ := parse(t, "pool:\n  testOnBorrow: true\n").Pool(""); !q.Limits.TestOnBorrow {
		t.Error("testOnBorrow sets nothing")
	}
}

func TestWhatIsNotInTheFileKeepsItsDefault(t *testing.T) {
	p, _ := parse(t, "pool: {}").Pool("")
	if p.Limits != (pool.Limits{}) || p.Mode != herzconfig.Pooled || !p.Identity || p.Name != pool.DefaultPool || p.MaxIdle != 0 {
		t.Errorf("an empty pool is %+v", p)
	}
}

func TestOffTurnsOff(t *testing.T) {
	text := "pool:\n"
	for _, key := range []string{"maxLifetime", "maxIdleTime", "heartbeatEvery", "pingAfter", "acquireTimeout", "reconnectPerSecond"} {
		text += "  " + key + ": off\n"
	}
	l := parse(t, text).Pools()[0].Limits
	if l.MaxLifetime >= 0 || l.MaxIdleTime >= 0 || l.HeartbeatEvery >= 0 || l.PingAfter >= 0 || l.AcquireTimeout >= 0 || l.ReconnectPerSecond >= 0 {
		t.Errorf("off left %+v", l)
	}
	if err := l.Check(); err != nil {
		t.Error(err)
	}
}

func TestSeveralPoolsHaveNamesAndShareAnchors(t *testing.T) {
	s := parse(t, `
x-common: &common {maxOpen: 7, pingAfter: 2s}
x-more: &more
  <<: *common
  maxUses: 9
pool:
  maxOpen: 3
pools:
  orders:
    <<: *more
    maxOpen: 20
  reports:
    <<: [*common, {leakAfter: 1m}]
`)
	var names []string
	for _, p := range s.Pools() {
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "DefaultPool orders reports" {
		t.Errorf("the pools are %s", got)
	}
	orders, _ := s.Pool("orders")
	if l := orders.Limits; l.MaxOpen != 20 || l.PingAfter != 2*time.Second || l.MaxUses != 9 {
		t.Errorf("orders has %+v", l)
	}
	reports, _ := s.Pool("reports")
	if l := reports.Limits; l.MaxOpen != 7 || l.LeakAfter != time.Minute {
		t.Errorf("reports has %+v", l)
	}
	if _, ok := s.Pool("invoices"); ok {
		t.Error("there is a pool that nobody named")
	}
}

func TestVariablesArePutIntoValuesAndNowhereElse(t *testing.T) {
	vars := map[string]string{"MAX": "12", "PASSWORD": "p#: \"{x}\n", "EMPTY": "", "MODE": "guarded"}
	for text, want := range map[string]string{
		"maxOpen: ${MAX}":                            "12",
		"maxOpen: \"${MAX}\"":                        "12",
		"maxOpen: ${MISSING:-7}":                     "7",
		"maxOpen: ${EMPTY:-8}":                       "8",
		"maxOpen: 1${MAX}":                           "112",
		"dsn: 'x:${PASSWORD}@y'\n  driver: mysql":    "x:p#: \"{x}\n@y",
		"dsn: $${MAX}${MAX}$\n  driver: mysql":       "${MAX}12$",
		"dsn: a$b${EMPTY}c\n  driver: mysql":         "a$bc",
		"dsn: ${A:-${B}\n  driver: mysql":            "${B",
		"mode: ${MODE}\n  maxOpen: 5":                "5",
		"dsn: |\n    x\n    ${MAX}\n  driver: mysql": "x\n12",
	} {
		s, problems := herzconfig.Parser{Env: env(vars)}.Parse("f", []byte("pool:\n  "+text+"\n"))
		if s == nil {
			t.Errorf("%s: %v", text, problems)
			continue
		}
		p := s.Pools()[0]
		if got := string(p.DSN); got != want && fmt.Sprint(p.Limits.MaxOpen) != want {
			t.Errorf("%s: got the dsn %q and maxOpen %d", text, got, p.Limits.MaxOpen)
		}
	}
}

func TestPlaceOfAVariableIsWhereItStands(t *testing.T) {
	for text, want := range map[string]string{
		"pool:\n  maxOpen: ${NO}":                                    "2:12",
		"pool:\n  maxOpen: \"${NO}\"":                                "2:13",
		"pool: {maxOpen: 5, maxUses: '${NO}'}":                       "1:30",
		"pool:\n  dsn: 'äöü:${NO}@tcp'\n  driver: mysql":             "2:13",
		"pool:\n  dsn: |\n    first\n    x=${NO}\n  driver: mysql":   "4:7",
		"x-a: &a {dsn: \"${NO}\", driver: mysql}\npool:\n  <<: *a\n": "1:16",
	} {
		_, problems := herzconfig.Parser{Env: env(nil)}.Parse("f", []byte(text))
		if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), "f:"+want+": error: the variable NO is not set") {
			t.Errorf("%q: want it at %s, got %v", text, want, problems)
		}
	}
}

func TestUnsetVariablesCanBeAllowedForALook(t *testing.T) {
	text := []byte("pool:\n  driver: ${D}\n  dsn: ${X}\n  mode: ${M}\n  minIdle: ${N}\n  maxOpen: 2\n  maxIdle: 3\n  name: ${P}\n")
	s, problems := herzconfig.Parser{Env: env(nil), AllowUnset: true}.Parse("f", text)
	if s == nil || len(problems) != 0 {
		t.Errorf("%v", problems)
	}
	if _, problems = (herzconfig.Parser{Env: env(nil)}).Parse("f", text); len(problems.Errors()) < 5 {
		t.Errorf("unset variables were taken: %v", problems)
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	p := herzconfig.Parser{Env: env(map[string]string{"PASSWORD": secret})}
	s, problems := p.Parse("f", []byte("pool:\n  driver: mysql\n  dsn: shop:${PASSWORD}@tcp(db)/shop\n"))
	if s == nil {
		t.Fatal(problems)
	}
	one := s.Pools()[0]
	if !strings.Contains(string(one.DSN), secret) {
		t.Fatal("the password did not get into the data source name")
	}
	encoded, err := json.Marshal(one.DSN)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	logger(&log).Info("pool", "dsn", one.DSN, slog.Any("pool", one))
	for way, said := range map[string]string{
		"%v": fmt.Sprintf("%v", one), "%+v": fmt.Sprintf("%+v", one), "%#v": fmt.Sprintf("%#v", one), "settings": fmt.Sprintf("%+v %#v", s, *s),
		"%s": one.DSN.String(), "%q": fmt.Sprintf("%q", one.DSN), "json": string(encoded), "log": log.String(),
	} {
		if strings.Contains(said, secret) {
			t.Errorf("%s shows the secret: %s", way, said)
		}
	}
}

func TestOnePoolWrittenAsPrintedIsTakenWithAWarningThatShowsTheIndentation(t *testing.T) {
	s, problems := herzconfig.Parser{Env: env(nil)}.Parse("herz-config.yaml", []byte(article))
	if s == nil || len(problems) != 1 || problems[0].Severity != herzconfig.Warning {
		t.Fatalf("%v", problems)
	}
	want := "herz-config.yaml:1:5: warning: pool: is empty, and its keys stand beside it and not under it; they are taken as meant. Indent them:\n" +
		"    pool:\n" +
		"      validationQuery: \"SELECT 1\"        # 启用每次借用前执行校验\n" +
		"      testOnBorrow: true                 # 关键:必须设为 true(默认 false)\n" +
		"      timeBetweenEvictionRunsMillis: 5000 # 缩短驱逐周期"
	if got := problems[0].String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	nested, problems := herzconfig.Parser{Env: env(nil)}.Parse("f", []byte(strings.SplitN(problems[0].Message, "\n", 2)[1]))
	if nested == nil || len(problems) != 0 {
		t.Fatalf("what the warning shows is not right: %v", problems)
	}
	if a, b := s.Pools()[0], nested.Pools()[0]; a.Limits != b.Limits || a.ValidationQuery != b.ValidationQuery {
		t.Errorf("as printed %+v, as shown %+v", a, b)
	}
	_, problems = herzconfig.Parser{Env: env(nil)}.Parse("f", []byte("pool:\ndriver: mysql\ndsn: root:"+secret+"@tcp(db)/shop\n"))
	if len(problems) != 1 || strings.Contains(problems[0].Message, secret) || !strings.Contains(problems[0].Message, "  dsn: …") {
		t.Errorf("%v", problems)
	}
}

func TestTheExampleIsValid(t *testing.T) {
	text, err := os.ReadFile("herz-config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if s, problems := (herzconfig.Parser{Env: env(nil)}).Parse("herz-config.yaml", text); s == nil || len(problems) != 0 {
		t.Errorf("%v", problems)
	}
}

func TestSmallFileThatStandsForAHugeOneIsRefusedSoon(t *testing.T) {
	var b strings.Builder
	b.WriteString("x-a: &a\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "  k%d: 1\n", i)
	}
	b.WriteString("pools:\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "  p%d: {<<: *a}\n", i)
	}
	begun := time.Now()
	s, problems := herzconfig.Parser{Env: env(nil)}.Parse("f", []byte(b.String()))
	if took := time.Since(begun); s != nil || len(problems) > 1001 || took > 20*time.Second {
		t.Errorf("%d problems after %v", len(problems), took)
	}
}

func TestFileThatCannotBeReadIsAProblem(t *testing.T) {
	s, problems := herzconfig.Load("testdata/there-is-none.yaml")
	if s != nil || len(problems) != 1 || !strings.Contains(problems[0].String(), "there-is-none.yaml:1:1: error: the file cannot be read: no such file") {
		t.Errorf("%v", problems)
	}
}
