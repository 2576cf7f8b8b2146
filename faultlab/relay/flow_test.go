package relay

import "testing"

func TestFlowsAreToldApartByAddressesProtocolAndPorts(t *testing.T) {
	base := func() []byte {
		p := make([]byte, 40)
		p[0], p[9] = 0x45, 6
		return p
	}
	first, ok := flowOf(base())
	if !ok {
		t.Fatal("no flow")
	}
	for name, change := range map[string]int{"source": 12, "destination": 19, "protocol": 9, "source port": 20, "destination port": 23} {
		p := base()
		p[change]++
		if other, ok := flowOf(p); !ok || other == first {
			t.Errorf("another %s is the same flow (%t)", name, ok)
		}
	}
	p := base()
	p[30] = 1
	if same, ok := flowOf(p); !ok || same != first {
		t.Error("another payload is another flow")
	}
	p[6], p[20] = 0x20|1, 99 // a later fragment: what stands there are no ports
	if f, ok := flowOf(p); !ok || f[9] != 0 {
		t.Error("a fragment has ports")
	}
}

func FuzzFlow(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 19))
	f.Add([]byte{0x4f, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 53, 1, 2})
	f.Fuzz(func(t *testing.T, packet []byte) {
		key, ok := flowOf(packet)
		if !ok && key != (flow{}) {
			t.Errorf("no flow, and yet %v", key)
		}
		if again, ok2 := flowOf(packet); again != key || ok2 != ok {
			t.Error("the same packet is another flow")
		}
	})
}
