//! The `tag` of a log: a template with the few words that Docker's drivers know.

/// What a template may name.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The container's runtime id.
    pub id: &'a str,
    /// Its name on the host.
    pub name: &'a str,
    /// The image as the definition names it.
    pub image: &'a str,
    /// The image's digest.
    pub image_id: &'a str,
}

/// The tag where the definition gives none, as in Docker.
const DEFAULT: &str = "{{.ID}}";
/// Docker's short ids.
const SHORT: usize = 12;

/// Fills in a template; one that is not given is Docker's.
pub fn render(template: Option<&str>, facts: &Facts) -> String {
    let mut text = String::new();
    for part in parts(template.unwrap_or(DEFAULT)) {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Word(word) => text.push_str(&value(word, facts).unwrap_or_default()),
        }
    }
    text
}

/// Why a template cannot be filled in.
pub(super) fn fault(template: &str) -> Option<String> {
    let facts = Facts { id: "", name: "", image: "", image_id: "" };
    let words = parts(template).filter_map(|part| match part {
        Part::Text(text) if text.contains("{{") => Some("{{ without }}".to_owned()),
        Part::Word(word) if value(word, &facts).is_none() => Some(format!("{{{{{word}}}}} is not known")),
        Part::Text(_) | Part::Word(_) => None,
    });
    words.into_iter().next()
}

enum Part<'a> {
    Text(&'a str),
    Word(&'a str),
}

fn parts(template: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let inside = rest.strip_prefix("{{").and_then(|after| after.split_once("}}"));
        if let Some((word, after)) = inside {
            rest = after;
            return Some(Part::Word(word.trim()));
        }
        // An opening that is never closed is text.
        let end = rest.find("{{").filter(|at| *at > 0 && rest[*at..].contains("}}")).unwrap_or(rest.len());
        let (text, after) = rest.split_at(end);
        rest = after;
        Some(Part::Text(text))
    })
}

fn value(word: &str, facts: &Facts) -> Option<String> {
    let short = |id: &str| id.chars().take(SHORT).collect::<String>();
    Some(match word {
        ".ID" => short(facts.id),
        ".FullID" => facts.id.to_owned(),
        ".Name" => facts.name.to_owned(),
        ".FullName" => format!("/{}", facts.name),
        ".ImageID" => short(facts.image_id.rsplit(':').next().unwrap_or_default()),
        ".ImageFullID" => facts.image_id.to_owned(),
        ".ImageName" => facts.image.to_owned(),
        ".DaemonName" => "berth".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_in() {
        let facts =
            Facts { id: "0123456789abcdef-1", name: "web", image: "nginx:1", image_id: "sha256:fedcba9876543210" };
        assert_eq!(render(None, &facts), "0123456789ab");
        let template = "a/{{.Name}}/{{ .ImageName }}:{{.ImageID}}";
        assert_eq!(render(Some(template), &facts), "a/web/nginx:1:fedcba987654");
        assert_eq!(fault(template), None);
        assert!(fault("{{.Nothing}}").unwrap().contains(".Nothing"));
        assert!(fault("x {{.Name").is_some());
    }
}
