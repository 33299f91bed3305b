package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"quadrant/tokenizer"
)

func newTokenize(a *app) *cobra.Command {
	var name string
	var jsonl, decode, template bool
	cmd := &cobra.Command{
		Use:   "tokenize [text]",
		Short: "Turn text into token ids, or ids into text",
		Long: `Prints the token ids of a text, or of standard input where no text is given, with
spaces between. With --decode it reads ids, with spaces or commas between, and
prints the text, byte for byte.

With --jsonl it reads lines {"text": "..."} and writes a line {"ids": [...]} for
each, or the other way with --decode.

A tokenizer is a tokenizer.json file (byte-pair encodings: GPT-2, GPT-NeoX, Llama),
a folder that holds one, or bytes, whose ids are the bytes of the text.`,
		Example: `  quadrant tokenize --tokenizer gpt2/tokenizer.json 'Hello world'
  quadrant tokenize --tokenizer gpt2 --decode '15496 995'
  quadrant tokenize --tokenizer bytes --jsonl < texts.jsonl > ids.jsonl`,
		Args: func(cmd *cobra.Command, args []string) error { return misuse(cobra.MaximumNArgs(1)(cmd, args)) },
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case name == "":
				return misuse(errors.New("no tokenizer named: --tokenizer takes a tokenizer.json file, a folder that holds one, or bytes"))
			case jsonl && len(args) > 0:
				return misuse(errors.New("--jsonl reads standard input: it takes no text"))
			case decode && template:
				return misuse(errors.New("--template is for encoding: it does not go with --decode"))
			}
			tok, err := tokenizer.Open(name)
			if err != nil {
				return err
			}
			c := converter{tok: tok, decode: decode, template: template}
			in := cmd.InOrStdin()
			if len(args) > 0 {
				in = strings.NewReader(args[0])
			}
			out := bufio.NewWriter(a.stdout)
			if jsonl {
				err = c.lines(in, out)
			} else {
				err = c.whole(in, out)
			}
			return errors.Join(err, out.Flush())
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "tokenizer", "", "tokenizer.json file, folder that holds one, or bytes")
	f.BoolVar(&jsonl, "jsonl", false, "read and write JSON lines")
	f.BoolVar(&decode, "decode", false, "turn ids into text")
	f.BoolVar(&template, "template", false, "add what the tokenizer puts round a text, such as a token for its beginning")
	return cmd
}

// A converter turns text into ids, or ids into text.
type converter struct {
	tok              tokenizer.Tokenizer
	decode, template bool
}

func (c converter) encode(text string) ([]int32, error) {
	if c.template {
		return tokenizer.Prompt(c.tok, text)
	}
	return c.tok.Encode(text)
}

// whole converts all of in.
func (c converter) whole(in io.Reader, out io.Writer) error {
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	if c.decode {
		ids, err := splitIDs(string(data))
		if err != nil {
			return err
		}
		text, err := c.tok.Decode(ids)
		if err == nil {
			_, err = io.WriteString(out, text)
		}
		return err
	}
	ids, err := c.encode(string(data))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, strings.Trim(fmt.Sprint(ids), "[]"))
	return err
}

// splitIDs reads ids with spaces or commas between, and brackets round them if need be.
func splitIDs(text string) ([]int32, error) {
	var ids []int32
	for _, item := range strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",[]", r) }) {
		id, err := strconv.ParseInt(item, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%.40q is not a token id", item)
		}
		ids = append(ids, int32(id))
	}
	return ids, nil
}

// lines converts JSON lines one by one.
func (c converter) lines(in io.Reader, out io.Writer) error {
	r := bufio.NewReaderSize(in, 1<<16)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return err
		}
		if len(strings.TrimSpace(string(line))) > 0 {
			if err := c.line(line, enc); err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

func (c converter) line(line []byte, enc *json.Encoder) error {
	var v struct {
		Text *string  `json:"text"`
		IDs  *[]int32 `json:"ids"`
	}
	if err := json.Unmarshal(line, &v); err != nil {
		return err
	}
	if c.decode {
		if v.IDs == nil {
			return errors.New(`no ids: want {"ids": [1, 2]}`)
		}
		text, err := c.tok.Decode(*v.IDs)
		if err != nil {
			return err
		}
		return enc.Encode(map[string]string{"text": text})
	}
	if v.Text == nil {
		return errors.New(`no text: want {"text": "..."}`)
	}
	ids, err := c.encode(*v.Text)
	if err != nil {
		return err
	}
	if ids == nil {
		ids = []int32{} // not null
	}
	return enc.Encode(map[string][]int32{"ids": ids})
}
