//! Writing SVG. Colours, strokes and fonts are classes, so that the page's style sheet decides them for its theme.

use std::fmt::{Display, Write};

/// `text` as HTML or XML text, or between double quotes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
    out
}

/// Which end of a text its place is.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing in the making.
#[derive(Clone, Debug, Default)]
pub struct Svg {
    body: String,
}

impl Svg {
    /// A straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.push(format_args!(
            r#"<path class="{class}" d="M{:.1} {:.1}L{:.1} {:.1}"/>"#,
            from.0, from.1, to.0, to.1
        ));
    }

    /// Straight lines from place to place; a place that is not finite breaks them.
    pub fn lines(&mut self, class: &str, places: impl IntoIterator<Item = (f64, f64)>) {
        let mut path = String::new();
        let mut command = 'M';
        for (x, y) in places {
            if x.is_finite() && y.is_finite() {
                write!(path, "{command}{x:.1} {y:.1}").expect("writing to a string succeeds");
                command = 'L';
            } else {
                command = 'M';
            }
        }
        if !path.is_empty() {
            self.push(format_args!(r#"<path class="{class}" d="{path}"/>"#));
        }
    }

    /// A disc that tells `tip` when pointed at.
    pub fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64, tip: &str) {
        self.push(format_args!(
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius:.1}"><title>{}</title></circle>"#,
            escape(tip)
        ));
    }

    /// A text.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.push(format_args!(
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
            escape(text)
        ));
    }

    /// The drawing, `width` by `height`, with what it is and what it shows for those who cannot see it. `id` is its own
    /// within the page.
    pub fn finish(self, id: &str, width: f64, height: f64, title: &str, description: &str) -> String {
        format!(
            r#"<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{id}-title {id}-desc"><title id="{id}-title">{}</title><desc id="{id}-desc">{}</desc>{}</svg>"#,
            escape(title),
            escape(description),
            self.body
        )
    }

    fn push(&mut self, element: impl Display) {
        write!(self.body, "{element}").expect("writing to a string succeeds");
    }
}
