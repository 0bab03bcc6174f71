//! scratch
fn main() {
    let text = std::fs::read_to_string(std::env::args().nth(1).unwrap()).unwrap();
    let module =
        convoke_ir::text::parse(&text).map_err(|e| convoke_ir::diagnostic::render(&e, "x", &text, false)).unwrap();
    let layer = &module.layers[0];
    let v = convoke_ir::layer::verify(layer).unwrap();
    let p = convoke_passes::lower::lower(v, &convoke_machine::Machine::x86_64_v3()).unwrap();
    println!("{p}");
}
