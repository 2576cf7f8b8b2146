package herzws_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"herz.example/herz/herzws"
)

// A server that answers, and a client that asks.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ws := &herzws.Server{Config: herzws.Config{
		OnMessage: func(c *herzws.Conn, kind herzws.Kind, payload []byte) {
			_ = c.Send(ctx, kind, append([]byte("you said "), payload...)) // a message that is not accepted is told by OnClose, too
		},
	}}
	web := httptest.NewServer(ws)
	defer web.Close()

	answers := make(chan string, 1)
	client, err := herzws.Dial(ctx, herzws.ClientConfig{
		URL:       "ws" + strings.TrimPrefix(web.URL, "http") + "/ws",
		OnMessage: func(_ herzws.Kind, payload []byte) { answers <- string(payload) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err = client.Send(ctx, herzws.Text, []byte("hello")); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-answers)
	fmt.Println(client.Close(ctx), ws.Shutdown(ctx))
	// Output:
	// you said hello
	// <nil> <nil>
}

// The switch on: a heartbeat by HTTP HEAD.
func ExampleSwitch() {
	ws := new(herzws.Server)
	ws.Switch().SetClass("gateway-v1", true) // or SetEnableLegacyKeepAlive, for all

	r := httptest.NewRequest(http.MethodHead, "/ws", http.NoBody)
	r.Header.Set(herzws.HeaderClass, "gateway-v1")
	r.Header.Set(herzws.HeaderDevice, "meter-7")
	w := httptest.NewRecorder()
	ws.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get(herzws.HeaderInterval))

	for d := range ws.Devices() {
		fmt.Println(d.Name, d.Mode)
	}
	_ = ws.Shutdown(context.Background()) // nobody is connected
	// Output:
	// 200 30s
	// meter-7 legacy
}
