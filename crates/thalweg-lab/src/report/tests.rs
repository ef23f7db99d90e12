use super::fixture::{HOSTILE, large, small, with_classes};
use super::*;

/// Every tag of `page`, without its angle brackets, in order.
fn tags(page: &str) -> Vec<&str> {
    let after_style = page.split("</style>").nth(1).expect("a style sheet");
    after_style
        .split('<')
        .skip(1)
        .map(|rest| rest.split_once('>').expect("a tag that ends").0)
        .collect()
}

pub(super) fn assert_well_formed(page: &str) {
    const VOID: [&str; 2] = ["meta", "wbr"];
    let mut open: Vec<&str> = vec!["html", "head"];
    for tag in tags(page) {
        let name = tag.split([' ', '\n']).next().unwrap();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closing tags match opening ones");
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

#[test]
fn pages_are_well_formed() {
    for comparison in [large(), small(), with_classes(20), with_classes(100)] {
        assert_well_formed(&html(&comparison));
    }
}

#[test]
fn pages_stand_alone() {
    let page = html(&large());
    for fetching in [
        "http:", "https:", "src=", "<link", "@import", "url(", "<script", "<iframe", "<img",
    ] {
        assert!(!page.contains(fetching), "{fetching}");
    }
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
}

#[test]
fn identifiers_are_unique_and_links_have_targets() {
    let page = html(&large());
    let values = |attribute: &'static str| {
        let pattern = format!("{attribute}=\"");
        page.split(&pattern)
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect::<Vec<_>>()
    };
    let ids = values(" id");
    for (index, id) in ids.iter().enumerate() {
        assert!(!ids[..index].contains(id), "{id} twice");
    }
    let links = values("href")
        .into_iter()
        .map(|link| link.strip_prefix('#').expect("links stay in the page"));
    let labels = values("aria-labelledby")
        .into_iter()
        .flat_map(|labels| labels.split(' '));
    for target in links.chain(labels) {
        assert!(ids.contains(&target), "{target}");
    }
}

#[test]
fn user_text_is_escaped_everywhere() {
    let mut comparison = large();
    let mut places: Vec<&mut String> = vec![
        &mut comparison.command,
        &mut comparison.started,
        &mut comparison.data.name,
        &mut comparison.protocol.model,
        &mut comparison.recommendation.sentence,
        &mut comparison.recommendation.evidence,
        &mut comparison.recommendation.code,
        &mut comparison.versions[0].1,
    ];
    for entry in comparison
        .conditions
        .iter_mut()
        .flat_map(|condition| &mut condition.entries)
    {
        if entry.name == "focal" {
            places.push(&mut entry.name);
        }
    }
    for place in places {
        HOSTILE.clone_into(place);
    }
    let page = html(&comparison);
    assert!(!page.contains("<script"));
    assert!(!page.contains("alert(\""), "a quote would end an attribute");
    assert_well_formed(&page);
}

#[test]
fn every_section_is_there() {
    let page = html(&large()).replace("<wbr>", "");
    for heading in [
        "Data and protocol",
        "accuracy against noise",
        "No label noise",
        "20 % label noise",
        "40 % label noise",
        "Ranking",
        "Learning curves",
        "Reliability",
        "Confusion",
        "Loss and slope",
        "All metrics",
        "Reproduce",
        "thalweg compare --noise 0,0.2,0.4 --seeds 8",
        "Train with generalized_cross_entropy",
        "2026-03-14T09:26:53Z",
        "0.22.1",
        "GeneralizedCrossEntropyLossConfig",
    ] {
        assert!(page.contains(heading), "{heading}");
    }
    // At each of three noise levels: 2 forests, 2 + 7 learning curves, 2 reliability diagrams, 7 margins.
    assert_eq!(page.matches("role=\"img\"").count(), 1 + 3 * (2 + 9 + 2 + 7));
    assert_eq!(
        page.matches("role=\"img\"").count(),
        page.matches("<desc ").count()
    );
    assert_eq!(page.matches("<table").count(), page.matches("<caption>").count());
    assert!(!page.contains("<th>"), "every heading says what it heads");
}

#[test]
fn marks_stay_within_their_charts() {
    let page = html(&large());
    for chart in page.split("<svg viewBox=\"0 0 360 ").skip(1) {
        let (height, rest) = chart.split_once('"').unwrap();
        let height: f64 = height.parse().unwrap();
        let (marks, _) = rest.split_once("</svg>").unwrap();
        for path in marks
            .split(" d=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
        {
            for place in path.split(['M', 'L']).skip(1) {
                let (x, y) = place.split_once(' ').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!(
                    (0.0..=360.0).contains(&x) && (0.0..=height).contains(&y),
                    "{path}"
                );
            }
        }
    }
}

#[test]
fn findings_are_said_in_words() {
    let page = html(&large());
    for words in [">better<", ">worse<", ">no difference seen<", ">baseline<"] {
        assert!(page.contains(words), "{words}");
    }
    let page = html(&small());
    assert!(page.contains(">too few seeds to tell<"));
    assert!(!page.contains(">better<") && !page.contains(">no difference seen<"));
}

#[test]
fn nothing_undefined_is_drawn_or_written() {
    for comparison in [large(), small()] {
        let page = html(&comparison);
        assert!(
            !page.contains("NaN") && !page.contains("inf\""),
            "no number that is none"
        );
    }
    assert!(
        !html(&small()).contains("against noise"),
        "one noise level is no curve"
    );
}

#[test]
fn many_classes_give_mistakes_instead_of_a_matrix() {
    assert!(html(&with_classes(20)).contains("class=\"confusion\""));
    let page = html(&with_classes(100));
    assert!(!page.contains("class=\"confusion\"") && page.contains("class=\"mistakes\""));
}

#[test]
fn an_entry_without_details_still_has_its_row() {
    let mut comparison = small();
    for entry in &mut comparison.conditions[0].entries {
        entry.curve.clear();
        entry.confusion.clear();
        entry.reliability.clear();
        entry.margin_curve.clear();
        entry.metrics.clear();
    }
    let page = html(&comparison);
    assert_well_formed(&page);
    assert!(page.contains("generalized_cross_entropy") && !page.contains("NaN"));
}

#[test]
fn the_record_survives_json() {
    let comparison = small();
    let json = serde_json::to_string(&comparison).unwrap();
    let read: Comparison = serde_json::from_str(&json).unwrap();
    assert_eq!(html(&read), html(&comparison));
    assert_eq!(crate::csv_out::csv(&read), crate::csv_out::csv(&comparison));
}
