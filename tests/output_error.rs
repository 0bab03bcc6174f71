//! Limits on the errors of a net's outputs: which convolutions pay for them, and whether native code keeps them.

use convoke::check::Reference;
use convoke::explain::explain;
use convoke::ir::layer::Range;
use convoke::{Compiler, Error, Files, InputRange, Layer, Machine, OutputErrors, Unmet};
use ndarray::ArrayD;

/// Four convolutions of 3×3 with a residual, and one of 1×1.
const NET: &str = include_str!("text/command/output-error.conv");

fn net() -> Layer {
    Layer::parse(NET).expect("a valid layer")
}

/// The errors to expect, for a machine that has the same candidates everywhere.
fn errors(limit: f64) -> OutputErrors {
    let machine = Machine::named("x86-64-v3").expect("a known machine");
    let compiler = Compiler::for_machine(machine).with_max_output_error(limit);
    let explanation = explain(&compiler, &net()).expect("explained");
    explanation.output_errors().expect("they are limited").clone()
}

fn changed(errors: &OutputErrors) -> usize {
    errors.convolutions.iter().filter(|own| own.alone != own.chosen).count()
}

/// The root mean square of the error of a run, relative to the output.
fn measured(compiler: &Compiler, layer: &Layer, inputs: Vec<ArrayD<f64>>) -> Result<f64, Error> {
    let outputs = compiler.compile(layer)?.run_rounded(&inputs)?;
    let reference = Reference::new(layer, inputs, compiler.subnormals())?.by(compiler, layer)?;
    Ok(reference.compare(&outputs).of_output)
}

fn inputs(layer: &Layer, seed: i64) -> Vec<ArrayD<f64>> {
    (0..layer.inputs().len()).map(|i| layer.random_input(i, seed, &Files::none()).expect("it is small")).collect()
}

#[test]
fn a_limit_between_changes_some_convolutions_and_not_all() {
    let (wide, tight) = (errors(1.0), errors(1e-9));
    let [most, least] = [&wide, &tight].map(|errors| errors.outputs[0].error);
    assert!(least < most / 2.0, "{least} {most}");
    let between = errors((least * most).sqrt());
    let changed = changed(&between);
    assert!(0 < changed && changed < between.convolutions.len(), "{between:?}");
    assert!(between.outputs[0].error <= between.limit, "{between:?}");
}

#[test]
fn shares_sum_to_the_whole_and_a_tighter_limit_is_no_less_accurate() {
    let mut before = f64::INFINITY;
    for limit in [1.0, 3e-6, 2e-6, 1.5e-6, 1e-6, 8e-7] {
        let errors = errors(limit);
        let shares = errors.convolutions.iter().map(|own| own.share).sum::<f64>() + errors.others;
        assert!((shares - 1.0).abs() < 1e-9, "{errors:?}");
        // Both choices are near the best for their limits; the wider one may leave more unspent.
        assert!(errors.outputs[0].error <= before * 1.05, "{limit}: {errors:?}");
        before = errors.outputs[0].error;
    }
}

#[test]
fn native_code_keeps_what_is_said() -> Result<(), Error> {
    let layer = net();
    for limit in [1e-5, 2e-6, 1.2e-6, 1e-6] {
        let compiler = Compiler::host().with_max_output_error(limit);
        let lowered = compiler.lower(&layer)?;
        assert!(lowered.unmet().is_empty(), "{limit}: {:?}", lowered.unmet());
        let said = lowered.output_errors().expect("they are limited").outputs[0].error;
        assert!(said <= limit);
        // Other inputs of the same kind than those that the choice was made by.
        let found = measured(&compiler, &layer, inputs(&layer, 99))?;
        assert!(found <= limit && found < 1.5 * said && found > said / 4.0, "{limit}: {said} was said, {found} found");
    }
    Ok(())
}

#[test]
fn a_limit_that_no_algorithm_keeps_is_told() -> Result<(), Error> {
    let compiler = Compiler::host().with_max_output_error(1e-9);
    let compiled = compiler.compile(&net())?;
    let unmet = &compiled.report().unmet;
    let [Unmet::Output { output, error, limit }] = &unmet[..] else { panic!("{unmet:?}") };
    assert!(output == "y" && *limit == 1e-9 && *error > 1e-8, "{unmet:?}");
    let said = unmet[0].to_string();
    assert!(said.contains("output %y does not keep --max-output-error 1e-9"), "{said}");
    Ok(())
}

#[test]
fn a_limit_of_single_convolutions_holds_beside_it() -> Result<(), Error> {
    let compiler = Compiler::host().with_max_output_error(1.0);
    let errors = |compiler: &Compiler| Ok::<_, Error>(compiler.lower(&net())?.output_errors().cloned());
    let free = errors(&compiler)?.expect("they are limited");
    let most = free.convolutions.iter().map(|own| own.error).fold(0.0, f64::max);
    let limit = most / 2.0;
    let both = errors(&compiler.with_max_error(limit))?.expect("they are limited");
    assert!(both.convolutions.iter().all(|own| own.error <= limit), "{both:?}");
    Ok(())
}

#[test]
fn samples_are_the_inputs_that_errors_are_estimated_on() -> Result<(), Error> {
    // Of a large input only the sums near 0 pass `tanh`, with errors as large as those of other sums.
    let text = "layer @l(%x: f32[1, 8, 24, 24]) -> f32[1, 8, 24, 24] {
        %w = const f32[8, 8, 3, 3] = normal(seed = 1, std = 0.1)
        %v = const f32[8, 8, 3, 3] = normal(seed = 2, std = 0.1)
        %a = conv2d %x, %w { pads = [1, 1, 1, 1] }
        %t = tanh %a
        %y = conv2d %t, %v { pads = [1, 1, 1, 1] }
        return %y
    }";
    let layer = Layer::parse(text).expect("a valid layer");
    let compiler = Compiler::host().with_max_output_error(1e-4);
    let shares = |compiler: &Compiler| {
        let errors = compiler.lower(&layer)?.output_errors().cloned().expect("they are limited");
        Ok::<_, Error>([errors.convolutions[0].share, errors.convolutions[1].share])
    };
    let [first, second] = shares(&compiler)?;
    let large = inputs(&layer, 0).into_iter().map(|input| input * 1000.0).collect();
    let [first_large, second_large] = shares(&compiler.clone().with_samples(large))?;
    assert!(first_large / second_large > 4.0 * first / second, "{first_large} {second_large} {first} {second}");
    let range = Range::new(900.0, 1000.0).expect("a range");
    let [first_declared, second_declared] = shares(&compiler.with_input_range(InputRange::Within(range)))?;
    assert!(first_declared / second_declared > 4.0 * first / second, "{first_declared} {second_declared}");
    Ok(())
}

#[test]
fn outputs_without_convolutions_and_layers_without_any_are_compiled() -> Result<(), Error> {
    let text = "layer @l(%x: f32[1, 4, 8, 8]) -> (f32[1, 4, 8, 8], f32[1, 4, 8, 8]) {
        %y = relu %x
        %z = exp %x
        return %y, %z
    }";
    let lowered = Compiler::host().with_max_output_error(1e-5).lower(&Layer::parse(text).expect("a valid layer"))?;
    let errors = lowered.output_errors().expect("they are limited");
    assert!(errors.outputs[0].error == 0.0 && errors.outputs[1].error > 0.0, "{errors:?}");
    assert!(errors.others == 1.0 && lowered.unmet().is_empty(), "{errors:?}");
    Ok(())
}

#[test]
fn weights_without_values_are_refused() {
    let layer = Layer::conv2d([1, 4, 8, 8], [4, 4, 3, 3]).build().expect("a valid layer");
    let error = Compiler::host().with_max_output_error(1e-5).lower(&layer).expect_err("nothing to run");
    assert!(matches!(error, Error::Interp(_)), "{error}");
}
