//! Objects with several nets for several CPUs, called from C: statuses, parts on threads, descriptions.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::{convoke, folder, text};

const NETS: &str = "layer @big(%x: f32[1, 16, 40, 40]) -> f32[1, 24, 40, 40] {
  %w = const f32[24, 16, 3, 3] = normal(seed = 1)
  %y = conv2d %x, %w { pads = [1, 1, 1, 1] }
  %z = relu %y
  return %z
}
layer @half(%x: f16[1, 4, 8, 8]) -> f16[1, 4, 8, 8] {
  %y = relu %x
  return %y
}
";

/// Runs both nets whole and in parts, and asks for every status.
const MAIN: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nets.h"

enum { X = 16 * 40 * 40, Y = 24 * 40 * 40, PARTS = 3 };
static float x[X + 1], y[Y], z[Y];
static void *workspace;
static pthread_barrier_t barrier;

static void *work(void *part) {
  for (uint32_t step = 0; step < convoke_big_steps(); step++) {
    if (convoke_big_part(step, (uint32_t)(size_t)part, PARTS, x, z, workspace) != CONVOKE_OK) exit(9);
    pthread_barrier_wait(&barrier);
  }
  return NULL;
}

int main(void) {
  for (int i = 0; i < X; i++) x[i] = (float)(i % 29 - 14) / 8.0f;
  size_t bytes = convoke_big_workspace_bytes(PARTS);
  if (convoke_big_workspace_bytes(1) > CONVOKE_BIG_WORKSPACE_BYTES) return 2;
  workspace = aligned_alloc(CONVOKE_BIG_WORKSPACE_ALIGN, (bytes / 64 + 2) * 64);
  if (convoke_big(x, y, workspace) != CONVOKE_OK) return 3;
  pthread_t threads[PARTS];
  pthread_barrier_init(&barrier, NULL, PARTS);
  for (size_t i = 0; i < PARTS; i++) pthread_create(&threads[i], NULL, work, (void *)i);
  for (size_t i = 0; i < PARTS; i++) pthread_join(threads[i], NULL);
  if (memcmp(y, z, sizeof y)) return 4;
  if (convoke_big(NULL, y, workspace) != CONVOKE_NULL) return 5;
  if (convoke_big((const float *)((const char *)x + 1), y, workspace) != CONVOKE_ALIGNMENT) return 6;
  if (CONVOKE_BIG_WORKSPACE_BYTES && convoke_big(x, y, (char *)workspace + 4) != CONVOKE_ALIGNMENT) return 7;
  if (convoke_big_part(convoke_big_steps(), 0, 1, x, y, workspace) != CONVOKE_PART) return 8;
  if (convoke_big_part(0, 1, 1, x, y, workspace) != CONVOKE_PART) return 10;
  if (convoke_big_part(0, 0, 0, x, y, workspace) != CONVOKE_PART) return 11;
  static uint16_t h[256], g[256];
  h[0] = 0xbc00, h[1] = 0x3c00;
  if (convoke_half(h, g, NULL) != CONVOKE_OK || g[0] != 0 || g[1] != 0x3c00) return 12;
  printf("%s\n%s\n", convoke_big_describe(), convoke_half_describe());
  for (int i = 0; i < Y; i += 997) printf("%a\n", y[i]);
  return 0;
}
"#;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn several_nets_for_several_cpus_are_one_object() {
    let folder = folder();
    let at = |name: &str| text(&folder.path().join(name));
    fs::write(at("nets.conv"), NETS).expect("written");
    fs::write(at("main.c"), MAIN).expect("written");
    let compile = |cpus: &str, emit: &str, to: &str| {
        let result = convoke(&["compile", &at("nets.conv"), "--cpu", cpus, "--emit", emit, "-o", &at(to)]);
        assert_eq!(result.status, 0, "{}", result.stderr);
        fs::read(at(to)).expect("written")
    };
    let cc = |args: &[&str]| {
        let all = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-pthread"];
        let built = Command::new("cc").args(all).args(args).current_dir(folder.path()).output().expect("a C compiler");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    };
    let run = |program: &str| {
        let run = Command::new(at(program)).output().expect("it runs");
        assert_eq!(run.status.code(), Some(0), "{program}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).expect("text")
    };
    let all = "x86-64-v4,x86-64,x86-64-v3";
    compile(all, "header", "nets.h");
    let together = compile(all, "obj", "nets.o");
    assert!(together == compile(all, "obj", "again.o"), "the same bytes each time");
    cc(&["-o", "main", "main.c", "nets.o"]);
    let printed = run("main");
    let described: Value = serde_json::from_str(printed.lines().next().expect("a line")).expect("JSON");
    assert_eq!(described["cpus"], serde_json::json!(["x86-64", "x86-64-v3", "x86-64-v4"]));
    assert_eq!(described["inputs"][0]["shape"], serde_json::json!([1, 16, 40, 40]));
    assert_eq!(described["interface"], 1);

    // What runs is the best that this CPU has: the same bits as its code alone.
    let best = ["x86-64-v4", "x86-64-v3", "x86-64"]
        .into_iter()
        .find(|name| convoke::Machine::named(name).is_ok_and(|machine| machine.runs_on_host().is_ok()));
    compile(best.expect("x86-64 runs here"), "obj", "alone.o");
    cc(&["-o", "alone", "main.c", "alone.o"]);
    assert!(printed.lines().skip(2).eq(run("alone").lines().skip(2)));

    compile(all, "c-example", "nets.c");
    cc(&["-o", "example", "nets.c", "nets.o"]);
    assert!(run("example").contains("z_1:"), "{}", run("example"));
}

#[test]
fn cpus_of_two_architectures_are_refused() {
    let folder = folder();
    let input = text(&folder.path().join("blur.conv"));
    let result = convoke(&["compile", &input, "--cpu", "x86-64,aarch64", "-o", "-"]);
    assert_eq!(result.status, 2);
    assert!(result.stderr.contains("aarch64 is aarch64, the code is for x86_64"), "{}", result.stderr);
    let result = convoke(&["compile", &input, "--cpu", "x86-64,x86-64-v3", "--emit", "asm", "-o", "-"]);
    assert!(result.status == 2 && result.stderr.contains("name one"), "{}", result.stderr);
    let result = convoke(&["run", &input, "--cpu", "x86-64,x86-64-v3"]);
    assert!(result.status == 2 && result.stderr.contains("there is no machine"), "{}", result.stderr);
}
