//! Detection, names and the text form of machines.

use convoke_machine::{
    Machine, MachineError, Missing, Prefetch, ProductRates, Rates, Sharing, Thresholds, VectorExtension,
};

#[test]
fn the_host_runs_its_own_code() {
    let host = Machine::host();
    assert_eq!(host.runs_on_host(), Ok(()));
    assert!(host.threads >= 1);
    assert!([128, 256, 512].contains(&host.vector_bits));
    assert!(host.caches.windows(2).all(|pair| pair[0].bytes <= pair[1].bytes), "{:?}", host.caches);
    assert_eq!(host.narrowed(128).vector_bits, 128);
}

#[test]
fn every_name_is_a_machine_whose_text_reads_back() {
    for name in Machine::NAMES {
        let machine = Machine::named(name).expect("listed");
        assert_eq!(machine.name, *name);
        assert_eq!(Machine::from_toml(&machine.to_toml()).as_ref(), Ok(&machine), "{}", machine.to_toml());
    }
}

#[test]
fn an_unknown_name_is_refused_with_the_known_ones() {
    let error = Machine::named("zen9").expect_err("no such machine").to_string();
    assert_eq!(
        error,
        "there is no machine `zen9`; known are host, x86-64, x86-64-v3, x86-64-v4, avx10.1-256, zen4, sapphirerapids, aarch64, riscv64, s390x"
    );
}

#[test]
fn a_machine_with_more_than_the_host_does_not_run_here() {
    let mut machine = Machine::host();
    machine.features.push("amx".into());
    let expected = Missing::Extensions { machine: "host".into(), extensions: vec!["amx".into()] };
    assert_eq!(machine.runs_on_host(), Err(expected));
    machine.arch = "riscv64".into();
    assert!(matches!(machine.runs_on_host(), Err(Missing::Arch { .. })));
}

#[test]
fn extensions_bits_and_registers_decide_the_instructions_for_vectors() {
    let of = |name: &str| Machine::named(name).expect("listed").vector_extension();
    assert_eq!(["x86-64", "aarch64"].map(of), [None, None]);
    assert_eq!(of("x86-64-v3"), Some(VectorExtension::Avx2));
    assert_eq!(["x86-64-v4", "zen4", "sapphirerapids"].map(of), [Some(VectorExtension::Avx512); 3]);
    assert_eq!(of("avx10.1-256"), Some(VectorExtension::Avx10At256));
    let mut without = Machine::named("avx10.1-256").expect("listed");
    without.features.retain(|f| f != "avx512vl");
    assert_eq!(without.vector_extension(), Some(VectorExtension::Avx2));
    without.vector_bits = 512;
    assert_eq!(without.vector_extension(), None);
}

#[test]
fn a_machine_has_the_widths_below_its_own_each_once() {
    let widths = |name: &str| {
        let all = Machine::named(name).expect("listed").widths();
        all.iter().map(|machine| (machine.vector_bits, machine.vector_extension())).collect::<Vec<_>>()
    };
    use VectorExtension::{Avx2, Avx10At256, Avx512};
    let from_avx10 = [(256, Some(Avx10At256)), (256, Some(Avx2)), (128, None)];
    assert_eq!(widths("x86-64-v4"), [&[(512, Some(Avx512))], &from_avx10[..]].concat());
    assert_eq!(widths("avx10.1-256"), from_avx10[..1].iter().chain(&from_avx10[2..]).copied().collect::<Vec<_>>());
    assert_eq!(widths("x86-64-v3"), from_avx10[1..]);
    assert_eq!(widths("aarch64"), [(128, None)]);
}

#[test]
fn fma_needs_avx_on_x86() {
    let mut machine = Machine::x86_64_v3();
    assert!(machine.has_fma());
    machine.features.retain(|f| f != "avx");
    assert!(!machine.has_fma());
    assert!(!Machine::named("x86-64").expect("listed").has_fma());
    assert!(Machine::named("aarch64").expect("listed").has_fma());
}

#[test]
fn text_that_is_no_machine_is_refused() {
    let good = Machine::x86_64_v3().to_toml();
    for (from, to, field) in [
        ("vector_bits = 256", "vector_bits = 100", "vector_bits"),
        ("ghz = 3.0", "ghz = nan", "ghz"),
        ("ghz = 3.0", "ghz = -1.0", "ghz"),
        ("threads = 1", "threads = 0", "threads"),
        ("x86_64", "pdp11", "arch"),
        ("\"fma\"", "\"fmma\"", "features"),
        ("latency_operations = 200", "latency_operations = 0", "prefetch.latency_operations"),
        ("bytes = 524288", "bytes = 2048", "caches.bytes"),
        ("bytes = 524288", "bytes = 12", "caches.bytes"),
        ("vector_registers = 16", "vector_registers = 0", "vector_registers"),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good, "{from}");
        let Err(MachineError::Value { field: found, .. }) = Machine::from_toml(&text) else {
            panic!("{to} was not refused as a value");
        };
        assert_eq!(found, field);
    }
    for text in ["", "name = 7", &format!("colour = \"red\"\n{good}"), &good.replace("ghz = 3.0\n", ""), "\u{0}"] {
        assert!(matches!(Machine::from_toml(text), Err(MachineError::Toml(_))), "{text}");
    }
}

#[test]
fn descriptions_without_rates_or_prefetch_have_the_usual_ones() {
    let good = Machine::x86_64_v3().to_toml();
    let (without, _) = good.split_once("[rates]").expect("rates are written last");
    assert_eq!(Machine::from_toml(without).expect("rates may be left out").rates, Rates::default());
    let (without, _) = without.split_once("[prefetch]").expect("prefetch is written before them");
    assert_eq!(Machine::from_toml(without).expect("it may be left out").prefetch, Prefetch::default());
    let one = format!("{without}[rates]\ncall_cycles = 7.5\n");
    let expected = Rates { call_cycles: 7.5, ..Rates::default() };
    assert_eq!(Machine::from_toml(&one).expect("each may be left out").rates, expected);
}

#[test]
fn memory_thresholds_and_sharing_are_read_and_checked() {
    let good = Machine::x86_64_v3().to_toml();
    for (from, to, field) in [
        ("scattered_moves = [2.0, 6.0]", "scattered_moves = [2.0, nan]", "hierarchy.scattered_moves"),
        ("strided_moves = [2.0, 3.5]", "strided_moves = [-1.0, 3.5]", "hierarchy.strided_moves"),
        ("round_trip_moves = [2.0, 4.0]", "round_trip_moves = [2.0, 4000.0]", "hierarchy.round_trip_moves"),
        ("usable = 0.875", "usable = 1.5", "hierarchy.usable"),
        ("conflict_cycles = [6.0, 25.0]", "conflict_cycles = [6.0, -25.0]", "hierarchy.conflict_cycles"),
        ("held_numbers = 64", "held_numbers = 2000000", "thresholds.held_numbers"),
        ("latencies_in_flight = 1.5", "latencies_in_flight = nan", "thresholds.latencies_in_flight"),
        ("split_operations = 65536", "split_operations = 0", "sharing.split_operations"),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good, "{from} in {good}");
        let Err(MachineError::Value { field: found, .. }) = Machine::from_toml(&text) else {
            panic!("{to} was not refused as a value");
        };
        assert_eq!(found, field);
    }
    let (without, _) = good.split_once("[hierarchy]").expect("tables with defaults are written last");
    let machine = Machine::from_toml(without).expect("they may be left out");
    assert_eq!(machine.thresholds, Thresholds::default());
    assert_eq!(machine.sharing, Sharing::default());
    let one = format!("{without}[thresholds]\nlong_row = 7\n");
    let expected = Thresholds { long_row: 7, ..Thresholds::default() };
    assert_eq!(Machine::from_toml(&one).expect("each may be left out").thresholds, expected);
}

#[test]
fn rates_outside_their_range_are_refused() {
    let good = Machine::x86_64_v4().to_toml();
    for (from, to, field) in [
        ("call_cycles = 5.2", "call_cycles = 0.0", "rates.call_cycles"),
        ("gather_cycles = 0.36", "gather_cycles = inf", "rates.gather_cycles"),
        ("sums = [1, 2, 4, 8, 12, 28]", "sums = []", "rates.product.sums"),
        ("depths = [9, 36, 144, 576]", "depths = [9, 144, 36, 576]", "rates.product.depths"),
        ("depths = [9, 36, 144, 576]", "depths = [9, 36, 144]", "rates.product.efficiency"),
        ("efficiency = [[2.6", "efficiency = [[nan", "rates.product.efficiency"),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good, "{from} in {good}");
        let Err(MachineError::Value { field: found, .. }) = Machine::from_toml(&text) else {
            panic!("{to} was not refused as a value");
        };
        assert_eq!(found, field);
    }
    let unknown = good.replace("call_cycles", "cell_cycles");
    assert!(matches!(Machine::from_toml(&unknown), Err(MachineError::Toml(_))));
}

#[test]
fn product_tiles_fit_any_number_of_registers() {
    for (bits, vector_registers) in [128, 256, 512].into_iter().flat_map(|bits| (8..=64).map(move |n| (bits, n))) {
        let machine = Machine { vector_bits: bits, vector_registers, ..Machine::x86_64_v3() };
        let product = machine.product_registers();
        let most = product.accumulators.max(product.registers);
        assert!(most <= machine.free_registers(), "{most} of {vector_registers} registers of {bits} bits");
    }
}

#[test]
fn efficiency_is_interpolated_by_logarithms_and_held_outside() {
    let efficiency = vec![vec![0.2, 0.4], vec![0.6, 1.0]];
    let rates = ProductRates { sums: vec![2, 8], depths: vec![16, 256], efficiency };
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
    near(rates.efficiency(2, 16), 0.2);
    near(rates.efficiency(2, 64), 0.3);
    near(rates.efficiency(4, 16), 0.4);
    near(rates.efficiency(4, 64), 0.55);
    near(rates.efficiency(8, 256), 1.0);
    near(rates.efficiency(100, 100_000), 1.0);
    near(rates.efficiency(0, 0), 0.2);
}
