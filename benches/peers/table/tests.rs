//! The table of two layers. `sample.jsonl` has lines as the peers' harness wrote them: one thread of a shared machine with AVX-512, on
//! 2026-11-24, convoke when its vectors were 128 bits wide.

use crate::grid::Style;
use crate::pairs::{self, Table, figures};
use crate::records::runs;
use crate::{json, report};

const SAMPLE: &str = include_str!("sample.jsonl");

fn tables(text: &str) -> Vec<Table> {
    pairs::tables(&runs(text).expect("records"), "convoke")
}

/// Lines of the sample that satisfy `keep`, on other threads.
fn lines(threads: usize, keep: impl Fn(&str) -> bool) -> String {
    let lines = SAMPLE.lines().filter(|line| keep(line));
    lines.map(|line| line.replace("\"threads\": 1", &format!("\"threads\": {threads}")) + "\n").collect()
}

fn close(found: Option<f64>, expected: f64) {
    let found = found.expect("a number");
    assert!((found / expected - 1.0).abs() < 1e-6, "{found} is not {expected}");
}

#[test]
fn ratios_are_the_peers_time_over_ours() {
    let tables = tables(SAMPLE);
    let [table] = tables.as_slice() else { panic!("{} tables", tables.len()) };
    assert_eq!(table.peers, ["ort", "openvino", "ncnn", "mnn", "litert"]);
    let names: Vec<_> = table.rows.iter().map(|row| row.ours.layer.as_str()).collect();
    assert_eq!(names, ["vgg_conv2_2", "mb_dw960_7"]);
    let vgg = &table.rows[0];
    close(vgg.ratio(vgg.peer("ncnn").expect("a peer")), 15.41 / 23.801);
    // MNN is the fastest, at a relative error of 1.4e-4.
    assert_eq!(vgg.best(false).expect("one").0.peer, "ncnn");
    assert_eq!(vgg.best(true).expect("one").0.peer, "mnn");
    assert!(vgg.flags().is_empty(), "{:?}", vgg.flags());
    assert_eq!(table.rows[1].flags(), ["foreign 0.17"]);
    assert!(table.call.as_ref().is_some_and(|call| call.peers.len() == 1));
    assert_eq!(table.worst()[0].0.ours.layer, "mb_dw960_7");
}

#[test]
fn figures_are_geometric() {
    let found = figures([0.5, 2.0, 4.0]).expect("some");
    close(Some(found.mean), 4f64.cbrt());
    assert_eq!((found.layers, found.ahead, found.least), (3, 2, 0.5));
    assert_eq!(figures([]), None);
    let table = &tables(SAMPLE)[0];
    assert_eq!(table.ratios(Some("mnn"), false).len(), 1);
    assert_eq!(table.ratios(Some("mnn"), true).len(), 2);
}

#[test]
fn peers_of_an_earlier_run_count_where_the_last_has_none() {
    let alone =
        lines(1, |line| line.contains("\"peer\": \"convoke\"")).replace("\"median_ms\": 23.801", "\"median_ms\": 10.0");
    let machine = SAMPLE.lines().next().expect("a machine");
    let table = &tables(&format!("{SAMPLE}{machine}\n{alone}"))[0];
    close(table.rows[0].ratio(table.rows[0].peer("ncnn").expect("a peer")), 1.541);
    assert!(table.rows[0].flags().contains(&"not in the same rounds".to_owned()));
}

#[test]
fn more_threads_are_compared_with_one() {
    let two = lines(2, |_| true).replace("\"median_ms\": 23.801", "\"median_ms\": 12.0");
    let tables = tables(&format!("{two}{SAMPLE}"));
    assert_eq!(tables.iter().map(|t| t.threads).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(tables[0].rows[0].speed_up(), None);
    close(tables[1].rows[0].speed_up(), 23.801 / 12.0);
    let text = report::report(&tables[1], Style::Text);
    assert!(text.contains("2 threads over one, 1 layers above 100 MFLOP: 1.98 times as fast"), "{text}");
}

#[test]
fn what_failed_is_said_and_not_counted() {
    let broken = SAMPLE.replace("\"median_ms\": 15.41,", "\"error\": \"no memory\",");
    let table = &tables(&broken)[0];
    assert_eq!(table.rows[0].best(false).expect("one").0.peer, "ort");
    assert!(report::report(table, Style::Markdown).contains("- vgg_conv2_2 of ncnn: no memory"));
    let ours = SAMPLE.replace("\"median_ms\": 23.801,", "\"error\": \"no memory\",");
    let table = &tables(&ours)[0];
    assert_eq!((table.rows.len(), table.worst().len()), (2, 1));
    assert!(report::report(table, Style::Text).contains("error: no memory"));
    assert!(runs("{\"record\": \"layer\"}").is_err_and(|why| why.starts_with("line 1: ")));
}

#[test]
fn markdown_and_json_say_the_same() {
    let table = &tables(SAMPLE)[0];
    let text = report::report(table, Style::Markdown);
    let row = text.lines().find(|line| line.starts_with("| vgg_conv2_2")).expect("a row");
    assert!(row.contains("| 0.65 ncnn") && row.contains("(0.51)") && row.contains("| 0.51 mnn"), "{row}");
    let value = json::table(table);
    close(value["layers"][0]["best_any_error"]["ratio"].as_f64(), 12.07 / 23.801);
    assert_eq!(value["best"]["equal_accuracy"]["layers"], 2);
    assert_eq!(value["worst_first"][0], "mb_dw960_7");
}
