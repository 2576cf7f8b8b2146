package herzconfig

import _ "embed"

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of the file, for editors. It is made from the types that the parser reads; it knows the right form
// only, so that the keys of an empty pool: beside it are marked. Rules between the values of two keys are the parser's alone.
func Schema() []byte { return append([]byte(nil), schema...) }
