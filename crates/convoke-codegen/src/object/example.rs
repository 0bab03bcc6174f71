//! A C program that runs a net once, as a beginning.

use std::fmt::Write;

use super::header::params;
use super::net::{Export, Net};
use crate::error::CodegenError;

/// A C11 program that includes `header`, fills the inputs of a net, runs it and prints the first numbers of each output.
///
/// # Errors
///
/// As [`symbol`](crate::symbol()).
pub fn example(net: &Net<'_>, header: &str, export: &Export) -> Result<String, CodegenError> {
    let name = net.symbol(export)?;
    let upper = name.to_uppercase();
    let params = params(net);
    let (mut arrays, mut fill, mut print) = (String::new(), String::new(), String::new());
    for param in &params {
        let (c, ty, elements) = (&param.name, param.ty, param.buffer.ty.elements());
        let _ = writeln!(arrays, "static {ty} {c}[{elements}];");
        // The bits of a half that is 1.
        let one = match (param.buffer.ty.elem.to_string().as_str(), param.is_input()) {
            ("f16", _) => "0x3c00",
            ("bf16", _) => "0x3f80",
            _ => "1",
        };
        match param.is_input() {
            true => fill += &format!("    for (size_t i = 0; i < {elements}; i++) {c}[i] = {one};\n"),
            false => {
                let format = if ty == "uint16_t" { "0x%04x" } else { "%g" };
                let shown = elements.min(8);
                print += &format!(
                    "    printf(\"{c}:\");\n    for (size_t i = 0; i < {shown}; i++) printf(\" {format}\", {c}[i]);\n    printf(\"\\n\");\n"
                );
            }
        }
    }
    let mut given: String = params.iter().map(|param| format!("{}, ", param.name)).collect();
    let (mut usage, mut include, mut read, mut parameters) = ("", "", String::new(), "void");
    if export.weights_beside {
        (usage, include, parameters) =
            ("; it takes the file of weights", "#include <stdlib.h>\n", "int argc, char **argv");
        given += "weights, ";
        read = format!(
            "    size_t bytes = {name}_weights_bytes();\n\
             \x20   char *memory = malloc(bytes + {upper}_WORKSPACE_ALIGN);\n\
             \x20   void *weights = memory + {upper}_WORKSPACE_ALIGN - (uintptr_t)memory % {upper}_WORKSPACE_ALIGN;\n\
             \x20   FILE *file = argc > 1 ? fopen(argv[1], \"rb\") : NULL;\n\
             \x20   if (!memory || !file || fread(weights, 1, bytes, file) != bytes) {{\n\
             \x20       fprintf(stderr, \"usage: example WEIGHTS, the file that was written with the object\\n\");\n\
             \x20       return 1;\n    }}\n    fclose(file);\n"
        );
    }
    Ok(format!(
        "/* Runs {name} once. Build it with the object: cc example.c OBJECT{usage} */\n\
         #include <stdalign.h>\n#include <stdio.h>\n{include}\n#include \"{header}\"\n\n\
         {arrays}static alignas({upper}_WORKSPACE_ALIGN) unsigned char workspace[{upper}_WORKSPACE_BYTES + 1];\n\n\
         int main({parameters}) {{\n    printf(\"%s\\n\", {name}_describe());\n{read}{fill}\
         \x20   int status = {name}({given}workspace);\n\
         \x20   if (status != CONVOKE_OK) {{\n        fprintf(stderr, \"{name}: status %d\\n\", status);\n        return 1;\n    }}\n\
         {print}    return 0;\n}}\n"
    ))
}
