package parquet

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codecs of pages. LZO and the first LZ4, which was never specified, are not supported.
const (
	codecNone   = 0
	codecSnappy = 1
	codecGzip   = 2
	codecBrotli = 4
	codecZstd   = 6
	codecLZ4    = 7
)

// How large a page may be. Writers aim at a megabyte, but let a thousand values pass before
// they look. Text is packed to a tenth, at most a hundredth: a page beyond is made to fill
// the reader's memory.
const (
	maxPage      = 512 << 20 // bytes
	alwaysPage   = 16 << 20  // bytes that any page may have
	maxUnpacking = 256       // times the packed bytes, above alwaysPage
)

// unpack is what packed holds, which must be size bytes.
func unpack(codec int64, packed []byte, size int64) ([]byte, error) {
	if size > maxPage || size > alwaysPage && size > maxUnpacking*int64(len(packed)) {
		return nil, fmt.Errorf("a page of %d bytes is said to unpack to %d, at most %d and %d times as many are read", len(packed), size, maxPage, maxUnpacking)
	}
	if size == 0 && len(packed) == 0 {
		return nil, nil
	}
	out, err := unpackers(codec, packed, int(size))
	switch {
	case err != nil:
		return nil, fmt.Errorf("a page does not unpack: %w", err)
	case int64(len(out)) != size:
		return nil, fmt.Errorf("a page unpacks to %d bytes, and its header says %d", len(out), size)
	}
	return out, nil
}

func unpackers(codec int64, packed []byte, size int) ([]byte, error) {
	switch codec {
	case codecNone:
		return packed, nil
	case codecSnappy:
		if n, err := snappy.DecodedLen(packed); err != nil || n != size {
			return nil, errors.Join(err, errUnpacked)
		}
		return snappy.Decode(make([]byte, size), packed)
	case codecGzip:
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, err
		}
		return exactly(r, size)
	case codecBrotli:
		return exactly(brotli.NewReader(bytes.NewReader(packed)), size)
	case codecZstd:
		d, err := zstdDecoder()
		if err != nil {
			return nil, err
		}
		return d.DecodeAll(packed, make([]byte, 0, size))
	case codecLZ4:
		out := make([]byte, size)
		n, err := lz4.UncompressBlock(packed, out)
		return out[:max(n, 0)], err
	}
	return nil, fmt.Errorf("codec %d is not supported: write the file with zstd, snappy or gzip", codec)
}

var errUnpacked = errors.New("it holds another number of bytes than its header says")

// zstdDecoder does not write beyond the room that it is given.
var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true))
})

// exactly reads size bytes, which must be all.
func exactly(r io.Reader, size int) ([]byte, error) {
	out := make([]byte, size)
	if _, err := io.ReadFull(r, out); err != nil {
		return nil, err
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return nil, errUnpacked
	}
	return out, nil
}
