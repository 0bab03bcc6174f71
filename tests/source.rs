//! What source text consists of, as far as tests ask: code, constants, numbers, functions.

/// A constant of numbers.
#[derive(Debug, PartialEq, Eq)]
pub struct Constant {
    /// Its name.
    pub name: String,
    /// What it is set to.
    pub value: String,
}

/// The code of a file: comments and unit tests left out, strings emptied, lines kept.
pub fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let (mut code, mut rest) = (String::new(), text);
    while let Some(c) = rest.chars().next() {
        let (kept, len) = if rest.starts_with("//") {
            (String::new(), rest.find('\n').unwrap_or(rest.len()))
        } else if let Some(quoted) = ["'\"'", "'\\\"'"].into_iter().find(|quoted| rest.starts_with(quoted)) {
            (String::new(), quoted.len())
        } else if c == '"' {
            let len = string(rest);
            ("\n".repeat(rest[..len].matches('\n').count()), len)
        } else {
            (c.to_string(), c.len_utf8())
        };
        code.push_str(&kept);
        rest = &rest[len..];
    }
    code
}

/// Bytes of the string that `text` begins with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    let end = text[1..].find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

/// The constants of code whose types and values have numbers, and the code without any constant.
pub fn constants(code: &str) -> (Vec<Constant>, String) {
    const NUMBERS: [&str; 12] = ["u8", "u16", "u32", "u64", "u128", "usize", "i8", "i32", "i64", "isize", "f32", "f64"];
    let (mut constants, mut left, mut rest) = (Vec::new(), String::new(), code);
    while let Some(line) = rest.split_inclusive('\n').next() {
        let Some((name, ty, value)) = declaration(line, rest) else {
            left.push_str(line);
            rest = &rest[line.len()..];
            continue;
        };
        let len = value.as_ptr() as usize - rest.as_ptr() as usize + value.len();
        let of_numbers = ty.split(|c: char| !c.is_alphanumeric()).any(|word| NUMBERS.contains(&word));
        if of_numbers && !numbers(value).is_empty() {
            constants.push(Constant { name: name.to_owned(), value: value.trim().to_owned() });
        }
        rest = &rest[len..];
    }
    (constants, left)
}

/// Name, type and value of the constant that begins with a line, the first of `text`.
fn declaration<'a>(line: &'a str, text: &'a str) -> Option<(&'a str, &'a str, &'a str)> {
    let words = line.trim_start();
    let words = words.strip_prefix("pub").map_or(words, |words| match words.strip_prefix('(') {
        Some(inside) => inside.split_once(')').map_or(inside, |(_, after)| after),
        None => words,
    });
    let words = words.trim_start();
    let declared = words.strip_prefix("const ").or_else(|| words.strip_prefix("static "))?;
    let (name, _) =
        declared.split_once(": ").filter(|(name, _)| !name.contains(|c: char| !c.is_alphanumeric() && c != '_'))?;
    let begin = name.as_ptr() as usize - text.as_ptr() as usize + name.len() + 2;
    let (ty, value) = text[begin..].split_once('=')?;
    let mut depth = 0_i32;
    let end = value.find(|c| {
        depth += i32::from("([{".contains(c)) - i32::from(")]}".contains(c));
        c == ';' && depth == 0
    })?;
    Some((name, ty.trim(), &value[..end]))
}

/// The literals of numbers in code. Fields of tuples and digits of names are none.
pub fn numbers(code: &str) -> Vec<&str> {
    let bytes = code.as_bytes();
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let begins = bytes[at].is_ascii_digit();
        let begin = at;
        let part = |at: &mut usize| {
            while *at < bytes.len() && word(bytes[*at]) {
                *at += 1;
            }
        };
        part(&mut at);
        if at == begin {
            at += 1;
            continue;
        }
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        if begins && bytes.get(at) == Some(&b'.') && digit(at + 1) {
            at += 1;
            part(&mut at);
        }
        let exponent = begins && !code[begin..].starts_with("0x") && matches!(bytes[at - 1], b'e' | b'E');
        if exponent && matches!(bytes.get(at), Some(b'-' | b'+')) && digit(at + 1) {
            at += 1;
            part(&mut at);
        }
        // After a single dot, a field of a tuple.
        let field = begin > 0 && bytes[begin - 1] == b'.' && (begin < 2 || bytes[begin - 2] != b'.');
        if begins && !field {
            found.push(&code[begin..at]);
        }
    }
    found
}

/// Whether a literal is of a floating-point number.
pub fn is_float(number: &str) -> bool {
    let decimal = !number.starts_with("0x") && !number.starts_with("0b");
    decimal && (number.contains(['.', 'e', 'E']) && !number.ends_with("size") || number.contains('f'))
}

/// The functions of a file but for its unit tests, with their numbers of lines: from `fn` to the brace below it that closes the body.
pub fn functions(text: &str) -> Vec<(String, usize)> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let named = |line: &str| -> Option<(usize, String)> {
        let code = line.trim_start();
        let words: Vec<&str> = code.split(' ').collect();
        let at = words.iter().position(|word| *word == "fn")?;
        let head = words[..at].iter().all(|word| {
            word.starts_with("pub") || ["const", "async", "extern", "\"C\"", concat!("un", "safe")].contains(word)
        });
        let name = words.get(at + 1)?.split(['(', '<']).next()?;
        head.then(|| (line.len() - code.len(), name.to_owned()))
    };
    let mut all = Vec::new();
    for (begin, line) in lines.iter().enumerate() {
        let Some((indent, name)) = named(line) else { continue };
        let at_indent = |line: &&str| line.len() - line.trim_start().len() == indent && !line.is_empty();
        let ends = |line: &&str| at_indent(line) && (line.trim() == "}" || line.ends_with(';'));
        let len = if line.ends_with(['}', ';']) {
            0
        } else {
            lines[begin + 1..].iter().position(ends).map_or(0, |len| len + 1)
        };
        all.push((name, len + 1));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_has_neither_comments_nor_what_strings_say() {
        let text = "let a = \"7 // \\\" 8\"; // 9\nlet b = '\"'; let c = 1;\n#[cfg(test)]\nlet d = 2;";
        assert_eq!(code(text), "let a = ; \nlet b = ; let c = 1;\n");
    }

    #[test]
    fn numbers_are_told_from_names_fields_and_ranges() {
        let found = numbers("x1 + 2.5e-3 * pair.0.1 + 0..8 + 1_000u32 + 0xffe-1 + f64::from(3)");
        assert_eq!(found, ["2.5e-3", "0", "8", "1_000u32", "0xffe", "1", "3"]);
        let floats: Vec<&str> = found.into_iter().filter(|number| is_float(number)).collect();
        assert_eq!(floats, ["2.5e-3"]);
        assert!(is_float("3f64") && is_float("1e9") && !is_float("8usize"));
    }

    #[test]
    fn constants_of_numbers_are_found_and_taken_out() {
        let code =
            "pub(super) const A: [u8; 2] = [1, 2];\nconst B: &str = ;\n  const C: usize =\n    1 << 3;\nlet d = 4;\n";
        let (found, left) = constants(code);
        let found: Vec<_> = found.iter().map(|c| (c.name.as_str(), c.value.as_str())).collect();
        assert_eq!(found[0], ("A", "[1, 2]"));
        assert_eq!(found[1].0, "C");
        assert_eq!(numbers(&left), ["4"]);
    }

    #[test]
    fn functions_are_measured_to_their_closing_brace() {
        let text = "impl X {\n    pub(crate) fn a(\n        b: u8,\n    ) {\n        if b {\n        }\n    }\n}\nfn c() {}\nfn d();\n";
        assert_eq!(functions(text), [("a".to_owned(), 6), ("c".to_owned(), 1), ("d".to_owned(), 1)]);
    }
}
