package kernels

// An Op is one operation on matrices: a value, declared only in this package. Unless
// its comment says otherwise, what it writes shares no memory with what it reads.
type Op interface {
	// Cost follows from the operands' shapes alone.
	Cost() Cost
	// check tells whether the operands agree, with both numbers where they do not.
	check() error
}

// Enter and Leave bracket a named part of the work for whoever watches; see
// [Stream.Scope]. They compute nothing.
//
// Gradient: none, they compute nothing.
type (
	Enter struct {
		Name  string
		Index int // which of several parts of that name, from 0; -1 where there is one
	}
	Leave struct{}
)

func (Enter) Cost() Cost   { return Cost{} }
func (Leave) Cost() Cost   { return Cost{} }
func (Enter) check() error { return nil }
func (Leave) check() error { return nil }

// kept holds one op of each type: the place an op is copied to, so that handing it to
// a device allocates nothing.
type kept struct {
	enter         Enter
	leave         Leave
	zero          Zero
	copied        Copy
	add           Add
	embed         Embed
	negExp        NegExp
	argMax        ArgMax
	rmsNorm       RMSNorm
	layerNorm     LayerNorm
	matMul        MatMul
	activation    Activation
	convSiLU      ConvSiLU
	scan          Scan
	rotaryStore   RotaryStore
	attend        Attend
	sinkhorn      Sinkhorn
	route         Route
	sort          Sort
	groupedMatMul GroupedMatMul
	combine       Combine

	sum                Sum
	embedGrad          EmbedGrad
	negExpGrad         NegExpGrad
	rmsNormGrad        RMSNormGrad
	layerNormGrad      LayerNormGrad
	matMulGradA        MatMulGradA
	matMulGradB        MatMulGradB
	activationGrad     ActivationGrad
	crossEntropy       CrossEntropy
	convSiLUGrad       ConvSiLUGrad
	scanGrad           ScanGrad
	rotaryGrad         RotaryGrad
	attendGrad         AttendGrad
	routeGrad          RouteGrad
	groupedMatMulGradA GroupedMatMulGradA
	groupedMatMulGradB GroupedMatMulGradB
	combineGrad        CombineGrad
	balanceLoss        BalanceLoss
	hashRoute          HashRoute
	limitLoad          LimitLoad
	squareSum          SquareSum
	adamW              AdamW
	average            Average
	biasStep           BiasStep

	expertChoice     ExpertChoice
	expertChoiceGrad ExpertChoiceGrad
	scatterAdd       ScatterAdd
	scatterAddGrad   ScatterAddGrad
}

// keep copies op into its place and returns a pointer to it. It is the one list of all
// ops; an op missing here stops the first model that uses it.
func (k *kept) keep(op Op) Op {
	switch o := op.(type) {
	case Enter:
		k.enter = o
		return &k.enter
	case Leave:
		k.leave = o
		return &k.leave
	case Zero:
		k.zero = o
		return &k.zero
	case Copy:
		k.copied = o
		return &k.copied
	case Add:
		k.add = o
		return &k.add
	case Embed:
		k.embed = o
		return &k.embed
	case NegExp:
		k.negExp = o
		return &k.negExp
	case ArgMax:
		k.argMax = o
		return &k.argMax
	case RMSNorm:
		k.rmsNorm = o
		return &k.rmsNorm
	case LayerNorm:
		k.layerNorm = o
		return &k.layerNorm
	case MatMul:
		k.matMul = o
		return &k.matMul
	case Activation:
		k.activation = o
		return &k.activation
	case ConvSiLU:
		k.convSiLU = o
		return &k.convSiLU
	case Scan:
		k.scan = o
		return &k.scan
	case RotaryStore:
		k.rotaryStore = o
		return &k.rotaryStore
	case Attend:
		k.attend = o
		return &k.attend
	case Sinkhorn:
		k.sinkhorn = o
		return &k.sinkhorn
	case Route:
		k.route = o
		return &k.route
	case Sort:
		k.sort = o
		return &k.sort
	case GroupedMatMul:
		k.groupedMatMul = o
		return &k.groupedMatMul
	case Combine:
		k.combine = o
		return &k.combine
	case Sum:
		k.sum = o
		return &k.sum
	case EmbedGrad:
		k.embedGrad = o
		return &k.embedGrad
	case NegExpGrad:
		k.negExpGrad = o
		return &k.negExpGrad
	case RMSNormGrad:
		k.rmsNormGrad = o
		return &k.rmsNormGrad
	case LayerNormGrad:
		k.layerNormGrad = o
		return &k.layerNormGrad
	case MatMulGradA:
		k.matMulGradA = o
		return &k.matMulGradA
	case MatMulGradB:
		k.matMulGradB = o
		return &k.matMulGradB
	case ActivationGrad:
		k.activationGrad = o
		return &k.activationGrad
	case CrossEntropy:
		k.crossEntropy = o
		return &k.crossEntropy
	case ConvSiLUGrad:
		k.convSiLUGrad = o
		return &k.convSiLUGrad
	case ScanGrad:
		k.scanGrad = o
		return &k.scanGrad
	case RotaryGrad:
		k.rotaryGrad = o
		return &k.rotaryGrad
	case AttendGrad:
		k.attendGrad = o
		return &k.attendGrad
	case RouteGrad:
		k.routeGrad = o
		return &k.routeGrad
	case GroupedMatMulGradA:
		k.groupedMatMulGradA = o
		return &k.groupedMatMulGradA
	case GroupedMatMulGradB:
		k.groupedMatMulGradB = o
		return &k.groupedMatMulGradB
	case CombineGrad:
		k.combineGrad = o
		return &k.combineGrad
	case BalanceLoss:
		k.balanceLoss = o
		return &k.balanceLoss
	case HashRoute:
		k.hashRoute = o
		return &k.hashRoute
	case LimitLoad:
		k.limitLoad = o
		return &k.limitLoad
	case SquareSum:
		k.squareSum = o
		return &k.squareSum
	case AdamW:
		k.adamW = o
		return &k.adamW
	case Average:
		k.average = o
		return &k.average
	case BiasStep:
		k.biasStep = o
		return &k.biasStep
	case ExpertChoice:
		k.expertChoice = o
		return &k.expertChoice
	case ExpertChoiceGrad:
		k.expertChoiceGrad = o
		return &k.expertChoiceGrad
	case ScatterAdd:
		k.scatterAdd = o
		return &k.scatterAdd
	case ScatterAddGrad:
		k.scatterAddGrad = o
		return &k.scatterAddGrad
	}
	panic("kernels: an op that keep does not list")
}
