//! The parameters of AWS's query protocol: `VpcId.1=...`, `Filter.1.Name=...&Filter.1.Value.1=...`.

/// How many parameters are read; a longer request is not asked in earnest.
const MOST: usize = 2000;

/// The parameters of a request, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Params(Vec<(String, String)>);

/// One `Filter`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) name: String,
    pub(super) values: Vec<String>,
}

impl Params {
    pub(super) fn parse(form: &[u8]) -> Self {
        Self(
            form_urlencoded::parse(form)
                .take(MOST)
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    /// The values of `NAME.1`, `NAME.2` and so on.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let mut all: Vec<(u32, String)> = self
            .0
            .iter()
            .filter_map(|(one, value)| {
                let number = one.strip_prefix(name)?.strip_prefix('.')?.parse().ok()?;
                Some((number, value.clone()))
            })
            .collect();
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, value)| value).collect()
    }

    pub(super) fn filters(&self) -> Vec<Filter> {
        let named = |(one, value): &(String, String)| {
            let number: u32 = one.strip_prefix("Filter.")?.strip_suffix(".Name")?.parse().ok()?;
            Some((number, value.clone()))
        };
        let mut all: Vec<(u32, String)> = self.0.iter().filter_map(named).collect();
        all.sort_by_key(|(number, _)| *number);
        let values = |number| self.list(&format!("Filter.{number}.Value"));
        all.into_iter().map(|(number, name)| Filter { name, values: values(number) }).collect()
    }
}

/// Whether a filter's value, in which `*` and `?` stand for others, is a text.
pub(super) fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Where the last star stood, and how much of the text it has taken: enough to go back to, in place of recursion.
    let (mut at, mut of, mut star) = (0, 0, None);
    while of < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(sign) if *sign == '?' || *sign == text[of] => (at, of) = (at + 1, of + 1),
            _ => match star {
                Some((stood, taken)) => {
                    star = Some((stood, taken + 1));
                    (at, of) = (stood + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|sign| *sign == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_filters_are_read_by_their_numbers() {
        let params = Params::parse(
            b"Action=DescribeVpcs&VpcId.2=b&VpcId.1=a&Filter.1.Name=tag%3Ax&Filter.1.Value.1=1&Filter.1.Value.2=2",
        );
        assert_eq!(params.get("Action"), Some("DescribeVpcs"));
        assert_eq!(params.list("VpcId"), ["a", "b"]);
        let values = vec!["1".to_owned(), "2".to_owned()];
        assert_eq!(params.filters(), [Filter { name: "tag:x".to_owned(), values }]);
        assert_eq!(params.list("SubnetId"), Vec::<String>::new());
    }

    #[test]
    fn stars_and_question_marks_stand_for_others() {
        for (pattern, text, is) in [
            ("a*c", "abbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("", "a", false),
            ("*b*b", "abab", true),
            ("a", "ab", false),
        ] {
            assert_eq!(is_like(pattern, text), is, "{pattern} {text}");
        }
        assert!(!is_like(&"*a".repeat(500), &"a".repeat(400)));
    }
}
