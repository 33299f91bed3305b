package cpu

import (
	"fmt"

	"quadrant/kernels"
)

// doTraining carries out the ops that only training asks for.
func (d *Device) doTraining(op kernels.Op) {
	j := &d.jobs.training
	switch o := op.(type) {
	case *kernels.Sum:
		j.sum.start(o)
	case *kernels.EmbedGrad:
		j.embed.start(o)
	case *kernels.NegExpGrad:
		j.negExp.start(o)
	case *kernels.RMSNormGrad:
		j.norm.startRMS(o)
	case *kernels.LayerNormGrad:
		j.norm.startLayer(o)
	case *kernels.MatMulGradA:
		j.product.startA(o)
	case *kernels.MatMulGradB:
		j.product.startB(o)
	case *kernels.GroupedMatMulGradA:
		j.product.startGroupedA(o)
	case *kernels.GroupedMatMulGradB:
		j.product.startGroupedB(o)
	case *kernels.ActivationGrad:
		j.activation.start(o)
	case *kernels.CrossEntropy:
		j.crossEntropy.start(o)
	case *kernels.ConvSiLUGrad:
		j.conv.start(o)
	case *kernels.ScanGrad:
		j.scan.start(o)
	case *kernels.RotaryGrad:
		j.rotary.start(o)
	case *kernels.AttendGrad:
		j.attend.start(o)
	case *kernels.RouteGrad:
		j.route.start(o)
	case *kernels.CombineGrad:
		j.combine.start(o)
	case *kernels.BalanceLoss:
		j.balance.start(o)
	case *kernels.HashRoute:
		d.hashRoute(o)
	case *kernels.LimitLoad:
		d.limitLoad(o)
	case *kernels.SquareSum:
		j.squareSum.start(o)
	case *kernels.AdamW:
		j.adamW.start(o)
	case *kernels.Average:
		j.average.start(o)
	case *kernels.BiasStep:
		biasStep(o)
	case *kernels.ExpertChoice:
		j.choice.start(o)
	case *kernels.ExpertChoiceGrad:
		j.choiceGrad.start(o)
	case *kernels.ScatterAdd:
		j.scatter.start(o)
	case *kernels.ScatterAddGrad:
		j.scatterGrad.start(o)
	default:
		panic(fmt.Sprintf("cpu: no kernel for %T", op))
	}
}

// trainingJobs are the jobs of gradients and of optimisers.
type trainingJobs struct {
	zero         zeroJob
	gather       gatherJob
	copy         copyJob
	sum          sumJob
	embed        embedGradJob
	negExp       negExpGradJob
	norm         normGradJob
	product      productJob
	activation   activationGradJob
	crossEntropy crossEntropyJob
	conv         convGradJob
	scan         scanGradJob
	rotary       rotaryGradJob
	attend       attendGradJob
	route        routeGradJob
	combine      combineGradJob
	balance      balanceJob
	squareSum    squareSumJob
	adamW        adamWJob
	average      averageJob

	choice      choiceJob
	choiceGrad  choiceGradJob
	scatter     scatterJob
	scatterGrad scatterGradJob
}

func (j *trainingJobs) bind(d *Device) {
	for _, own := range []**Device{
		&j.zero.d, &j.gather.d, &j.copy.d, &j.sum.d, &j.embed.d, &j.negExp.d, &j.norm.d, &j.product.d, &j.activation.d, &j.crossEntropy.d,
		&j.conv.d, &j.scan.d, &j.rotary.d, &j.attend.d, &j.route.d, &j.combine.d, &j.balance.d,
		&j.squareSum.d, &j.adamW.d, &j.average.d, &j.choice.d, &j.choiceGrad.d, &j.scatter.d, &j.scatterGrad.d,
	} {
		*own = d
	}
}

// partBlock is the rows whose contributions to a sum over all rows are added up first. Sums
// over rows are sums of such parts, in order, so that they do not depend on which worker
// took which part.
const partBlock = 64

// parts are a sum's terms, a row for every block of rows.
type parts struct {
	data []float32
	cols int
}

// parts lends count rows of zeros.
func (d *Device) parts(count, cols int) parts {
	p := parts{d.shared(count * cols), cols}
	clear(p.data)
	return p
}

func (p parts) row(i int) []float32 { return p.data[i*p.cols:][:p.cols] }

// addTo adds columns from … of all parts to dst.
func (p parts) addTo(d *Device, dst []float32, from int) {
	for at := from; at < len(p.data); at += p.cols {
		d.vec.Axpy(dst, 1, p.data[at:][:len(dst)])
	}
}
