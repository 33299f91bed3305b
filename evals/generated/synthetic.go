package generated

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// arithmetic: lines as the corpus's sums have them, after three right ones.
func (m *maker) arithmetic() error {
	return m.draw(func() bool {
		var context strings.Builder
		for range 3 {
			text, result := m.sum()
			fmt.Fprintf(&context, "%s%d\n", text, result)
		}
		text, result := m.sum()
		right := strconv.Itoa(result)
		choices := []string{right + "\n"}
		for range tries {
			wrong := strconv.Itoa(result + []int{1, -1, 2, -2, 10, -10, 9, -9, 100, -100, 11, -11}[m.rand.IntN(12)])
			if len(wrong) == len(right) && wrong[0] != '-' && !slices.Contains(choices, wrong+"\n") {
				choices = append(choices, wrong+"\n")
			}
			if len(choices) == 4 {
				m.choose(context.String()+text, choices...)
				return true
			}
		}
		return false
	})
}

// sum is "407+25=" and what it comes to, with a result of two digits or more.
func (m *maker) sum() (text string, result int) {
	for {
		x, y := m.rand.IntN(1000), m.rand.IntN(1000)
		text, result = fmt.Sprintf("%d+%d=", x, y), x+y
		if m.rand.IntN(2) == 0 {
			x, y = max(x, y), min(x, y)
			text, result = fmt.Sprintf("%d-%d=", x, y), x-y
		}
		if result >= 10 {
			return text, result
		}
	}
}

// recallPairs is how many keys are read.
const recallPairs = 8

// recall is associative recall (MQAR, arXiv:2312.04927) of one key: letters have digits
// for values, "q7 x2 …", each of them different, and one of them is asked for again.
func (m *maker) recall() error {
	return m.draw(func() bool {
		keys, values := m.rand.Perm(26)[:recallPairs], m.rand.Perm(10)[:recallPairs]
		var context strings.Builder
		for i, k := range keys {
			fmt.Fprintf(&context, "%c%d ", 'a'+k, values[i])
		}
		asked := m.rand.IntN(recallPairs)
		fmt.Fprintf(&context, "%c", 'a'+keys[asked])
		choices := []string{strconv.Itoa(values[asked])}
		for _, i := range m.rand.Perm(recallPairs) {
			if i != asked && len(choices) < 4 {
				choices = append(choices, strconv.Itoa(values[i]))
			}
		}
		m.choose(context.String(), choices...)
		return true
	})
}
