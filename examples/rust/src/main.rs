//! Says which digit a drawing shows. The net is in the program: a static library that the build script made, behind a safe type.

mod digits {
    include!(concat!(env!("OUT_DIR"), "/digits.rs"));
}

/// Eight rows of eight pixels: ink is `#`, half of it `+`.
const DRAWING: &str = "
  +##+  
 +#++#+ 
     #+ 
    +#  
   +#+  
  +#+   
 +##++  
 +####+ 
";

fn main() {
    println!("{DRAWING}\nshows a {}", read(DRAWING));
}

/// The digit that the net finds in a drawing.
fn read(drawing: &str) -> usize {
    let rows = drawing.lines().filter(|row| !row.is_empty());
    let mut pixels = rows.flat_map(str::chars).map(|ink| match ink {
        '#' => 1.0,
        '+' => 0.5,
        _ => 0.0,
    });
    let image: [f32; 64] = std::array::from_fn(|_| pixels.next().unwrap_or(0.0));
    let mut net = digits::Digits::new().expect("code for every x86-64, or this architecture");
    let mut scores = [0.0; 10];
    net.run(&image, &mut scores);
    (0..10).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).expect("ten digits")
}

#[test]
fn the_drawing_is_a_two_and_the_net_says_what_it_takes() {
    assert_eq!(read(DRAWING), 2);
    assert!(digits::Digits::describe().contains("\"shape\": [1, 1, 8, 8]"));
}
