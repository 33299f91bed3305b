package checkpoint

import "fmt"

// The opcodes of pickles that are carried out, as CPython's Lib/pickle.py calls them: those
// that its protocols 2 to 4 need for plain values, and calls of what is in globals.
const (
	opProto         = 0x80
	opFrame         = 0x95
	opStop          = '.'
	opGlobal        = 'c'
	opStackGlobal   = 0x93
	opBinPut        = 'q'
	opLongBinPut    = 'r'
	opMemoize       = 0x94
	opBinGet        = 'h'
	opLongBinGet    = 'j'
	opMark          = '('
	opNone          = 'N'
	opNewTrue       = 0x88
	opNewFalse      = 0x89
	opBinInt        = 'J'
	opBinInt1       = 'K'
	opBinInt2       = 'M'
	opLong1         = 0x8a
	opBinFloat      = 'G'
	opBinUnicode    = 'X'
	opShortUnicode  = 0x8c
	opBinUnicode8   = 0x8d
	opBinBytes      = 'B'
	opShortBinBytes = 'C'
	opBinBytes8     = 0x8e
	opEmptyDict     = '}'
	opEmptyList     = ']'
	opEmptyTuple    = ')'
	opTuple         = 't'
	opTuple1        = 0x85
	opTuple2        = 0x86
	opTuple3        = 0x87
	opBinPersID     = 'Q'
	opReduce        = 'R'
	opBuild         = 'b'
	opSetItem       = 's'
	opSetItems      = 'u'
	opAppend        = 'a'
	opAppends       = 'e'
)

// refusedOps are the others. Some of them call what the pickle names; those that do not
// are not in PyTorch's checkpoints.
var refusedOps = map[byte]string{
	'0': "POP", '1': "POP_MARK", '2': "DUP", 'F': "FLOAT", 'I': "INT", 'L': "LONG", 'P': "PERSID", 'S': "STRING",
	'T': "BINSTRING", 'U': "SHORT_BINSTRING", 'V': "UNICODE", 'd': "DICT", 'g': "GET", 'i': "INST", 'l': "LIST",
	'o': "OBJ", 'p': "PUT", 0x81: "NEWOBJ", 0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4", 0x8b: "LONG4", 0x8f: "EMPTY_SET",
	0x90: "ADDITEMS", 0x91: "FROZENSET", 0x92: "NEWOBJ_EX", 0x96: "BYTEARRAY8", 0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER",
}

func refuseOp(op byte) error {
	if name, ok := refusedOps[op]; ok {
		return fmt.Errorf("opcode %s (0x%02x) is not allowed: a checkpoint of tensors does not need it", name, op)
	}
	return fmt.Errorf("opcode 0x%02x is unknown", op)
}
