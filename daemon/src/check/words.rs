//! Arguments as httpd and the module take them apart.

/// Words between blanks; quotes hold blanks together, and a backslash keeps a quote (`ap_getword_conf`).
pub fn words(args: &str) -> Vec<String> {
    let mut rest = args;
    let mut words = Vec::new();
    while let Some(word) = word(&mut rest) {
        words.push(word);
    }
    words
}

/// Takes the first word off.
fn word(rest: &mut &str) -> Option<String> {
    *rest = rest.trim_start();
    let quote = rest.chars().next()?;
    if quote != '"' && quote != '\'' {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, further) = rest.split_at(end);
        *rest = further;
        return Some(word.into());
    }
    let mut word = String::new();
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == quote {
            *rest = &rest[at + 1..];
            return Some(word);
        }
        let escaped = letters.peek().map(|(_, next)| *next).filter(|next| *next == quote || *next == '\\');
        match (letter, escaped) {
            ('\\', Some(next)) => {
                word.push(next);
                letters.next();
            }
            _ => word.push(letter),
        }
    }
    *rest = "";
    Some(word)
}

/// `name=value` after the first `skip` words; what is no option ends the list.
pub fn options(args: &str, skip: usize) -> Vec<(String, String)> {
    let mut rest = args;
    for _ in 0..skip {
        word(&mut rest);
    }
    let mut options = Vec::new();
    loop {
        rest = rest.trim_start();
        let Some(end) = rest.find(|c: char| c == '=' || c.is_whitespace()) else { return options };
        if !rest[end..].starts_with('=') {
            return options;
        }
        let key = rest[..end].to_string();
        rest = &rest[end + 1..];
        let empty = rest.chars().next().is_none_or(char::is_whitespace);
        let value = if empty { Some(String::new()) } else { word(&mut rest) };
        options.push((key, value.unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(words(r#"  /a  "/b c" '/d "e"' "f\"g\\" "#), ["/a", "/b c", "/d \"e\"", "f\"g\\"]);
        assert_eq!(words("\"open end"), ["open end"]);
        assert!(words("  ").is_empty());
    }

    #[test]
    fn options_have_a_name_and_a_value() {
        let pair = |key: &str, value: &str| (key.to_string(), value.to_string());
        let found = options(r#"/ "/a b" process-group=x display-name="a b" application-group="#, 2);
        let expected =
            [pair("process-group", "x"), pair("display-name", "a b"), pair("application-group", "")];
        assert_eq!(found, expected);
        assert_eq!(options("name nonsense a=b", 1), []);
    }
}
