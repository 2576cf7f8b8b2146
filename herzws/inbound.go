package herzws

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// inbound is what of a connection's stream is not dealt with yet: the beginning of a frame, of a control frame between fragments, of a message. A
// connection has one only while there is such a thing, so that one that rests has none.
type inbound struct {
	client bool // we are the client: what comes is not masked
	limit  int  // MaxMessage

	head    [ws.MaxHeaderSize]byte
	scratch [ws.MaxHeaderSize]byte // for the codec, as is the reader: so that a frame allocates nothing
	reader  bytes.Reader
	headLen int
	framed  bool // header is that of the frame whose payload comes
	header  ws.Header
	got     int // bytes of its payload
	control [ws.MaxControlFramePayloadSize]byte

	fragmented bool // a message has begun and its last frame has not come
	kind       Kind
	message    []byte
	checked    int // bytes of a text that are known to be UTF-8
}

var inbounds = sync.Pool{New: func() any { return new(inbound) }}

// rests reports whether nothing is begun.
func (in *inbound) rests() bool { return in.headLen == 0 && !in.framed && !in.fragmented }

// midFrame reports whether a frame has begun that is not whole.
func (in *inbound) midFrame() bool { return in.headLen > 0 || in.framed }

// wants is how many bytes of payload the frame under way still needs.
func (in *inbound) wants() int {
	if !in.framed {
		return 0
	}
	return int(in.header.Length) - in.got
}

// event is a whole frame, or a whole message.
type event struct {
	op      ws.OpCode // 0: only a fragment, or nothing
	payload []byte    // of a message: to keep; of a control frame: good until the next call
}

// next takes bytes until a frame is whole. Rest is what it left; ok is false when all was taken and no frame is whole. The error is a *violation.
func (in *inbound) next(b []byte) (e event, rest []byte, ok bool, err error) {
	if !in.framed {
		if b, ok, err = in.begin(b); !ok || err != nil {
			return e, b, false, err
		}
	}
	n := min(len(b), in.wants())
	part := b[:n]
	if in.header.Masked {
		ws.Cipher(part, in.header.Mask, in.got) // in place: the bytes are ours
	}
	if in.header.OpCode.IsControl() {
		copy(in.control[in.got:], part)
	} else {
		in.message = append(in.message, part...)
	}
	in.got += n
	b = b[n:]
	if in.wants() > 0 {
		return e, b, false, in.checkMore()
	}
	in.framed = false
	e, err = in.end()
	return e, b, err == nil, err
}

// reserve is how much is set aside for a message on the word of its header alone: what comes is copied anyway, and a header is cheap to forge.
const reserve = 4 << 10

// begin takes bytes until the header is whole, and judges it.
func (in *inbound) begin(b []byte) (rest []byte, ok bool, err error) {
	for need := in.headNeed(); in.headLen < need; need = in.headNeed() {
		n := copy(in.head[in.headLen:need], b)
		in.headLen += n
		b = b[n:]
		if in.headLen < need {
			return b, false, nil
		}
	}
	in.reader.Reset(in.head[:in.headLen])
	h, err := ws.ReadHeaderBuffer(&in.reader, in.scratch[:0])
	in.headLen = 0
	if err != nil {
		return b, false, &violation{CodeProtocol, err.Error() + " (RFC 6455, section 5.2)"}
	}
	if err = in.judge(h); err != nil {
		return b, false, err
	}
	in.header, in.got, in.framed = h, 0, true
	if h.OpCode == ws.OpText || h.OpCode == ws.OpBinary {
		in.kind, in.message, in.checked = Kind(h.OpCode), nil, 0
	}
	if h.OpCode.IsData() {
		in.message = slices.Grow(in.message, min(int(h.Length), reserve))
	}
	return b, true, nil
}

// headNeed is how long the header is, as far as its bytes tell.
func (in *inbound) headNeed() int {
	if in.headLen < 2 {
		return 2
	}
	n := 2
	switch in.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if in.head[1]&0x80 != 0 {
		n += 4
	}
	return n
}

// judge holds a header against the rules.
func (in *inbound) judge(h ws.Header) error {
	state := ws.StateServerSide
	if in.client {
		state = ws.StateClientSide
	}
	if in.fragmented {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return &violation{CodeProtocol, err.Error() + " (RFC 6455, section " + sectionOf(err) + ")"}
	}
	if h.OpCode.IsData() {
		total := h.Length
		if h.OpCode == ws.OpContinuation {
			total += int64(len(in.message))
		}
		if total > int64(in.limit) || total < 0 {
			return &violation{CodeTooBig, "the message is greater than MaxMessage"}
		}
	}
	return nil
}

// sectionOf is where the rule stands.
func sectionOf(err error) string {
	switch {
	case errors.Is(err, ws.ErrProtocolMaskRequired), errors.Is(err, ws.ErrProtocolMaskUnexpected):
		return "5.1"
	case errors.Is(err, ws.ErrProtocolContinuationExpected), errors.Is(err, ws.ErrProtocolContinuationUnexpected):
		return "5.4"
	case errors.Is(err, ws.ErrProtocolControlPayloadOverflow), errors.Is(err, ws.ErrProtocolControlNotFinal):
		return "5.5"
	default:
		return "5.2"
	}
}

// end is called when a frame is whole.
func (in *inbound) end() (event, error) {
	h := in.header
	if h.OpCode.IsControl() {
		return event{h.OpCode, in.control[:h.Length]}, nil
	}
	in.fragmented = !h.Fin
	if in.kind == Text {
		if err := in.checkText(h.Fin); err != nil {
			return event{}, err
		}
	}
	if !h.Fin {
		return event{}, nil
	}
	e := event{ws.OpCode(in.kind), in.message}
	in.message, in.checked = nil, 0
	return e, nil
}

// checkMore looks at what has come of a frame that is not whole, so that what is wrong is told at once.
func (in *inbound) checkMore() error {
	if in.header.OpCode.IsControl() || in.kind != Text {
		return nil
	}
	return in.checkText(false)
}

// checkText looks at what is new of a text. A character may be split between frames, but not missing its end in the last one (RFC 6455, section 8.1).
func (in *inbound) checkText(last bool) error {
	for in.checked < len(in.message) {
		b := in.message[in.checked:]
		if b[0] < utf8.RuneSelf {
			in.checked++
			continue
		}
		if !last && !utf8.FullRune(b) {
			return nil
		}
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n <= 1 {
			return &violation{CodeInvalidPayload, "the text is not UTF-8 (RFC 6455, section 8.1)"}
		}
		in.checked += n
	}
	return nil
}
