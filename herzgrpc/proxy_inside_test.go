package herzgrpc

import (
	"strings"
	"testing"

	"google.golang.org/grpc/resolver"
)

// gRPC writes addresses with their attributes to its log, and shows them by channelz.
func TestPasswordOfTheProxyIsNotInTheTextOfAnAddress(t *testing.T) {
	marked := func(proxy string) resolver.Address { return viaProxy(resolver.Address{Addr: "orders.test:1"}, proxy) }
	a := marked("http://someone:secret@proxy.test:3128")
	json, err := a.Attributes.MarshalJSON()
	if text := a.String() + string(json); err != nil || strings.Contains(text, "secret") || !strings.Contains(text, "proxy.test:3128") {
		t.Errorf("%s, %v", text, err)
	}
	if !a.Equal(marked("http://someone:secret@proxy.test:3128")) {
		t.Error("the same address by the same proxy is another one: its connection would be replaced")
	}
	if a.Equal(marked("http://someone:other@proxy.test:3128")) || a.Equal(resolver.Address{Addr: "orders.test:1"}) {
		t.Error("an address that is reached in another way is the same")
	}
}
