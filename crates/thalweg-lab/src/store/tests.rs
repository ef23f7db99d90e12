use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::json;

use super::*;

fn new_store() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    (folder, path)
}

fn spec(seed: u64) -> Value {
    json!({"objective": "mae", "seed": seed})
}

/// Long enough that writing one takes several pages.
fn outcome(seed: u64) -> Value {
    json!({"accuracy": 0.1 + seed as f64 / 3.0, "curve": vec![seed; 5000]})
}

fn record(store: &Store, run: RunId, seed: u64) {
    let key = TrialKey::of(&spec(seed)).unwrap();
    store
        .record_trial(run, &key, &spec(seed), &outcome(seed))
        .unwrap();
}

fn assert_recorded(store: &Store, seed: u64) {
    let found: Option<Value> = store.trial(&TrialKey::of(&spec(seed)).unwrap()).unwrap();
    assert_eq!(found, Some(outcome(seed)), "trial {seed}");
}

fn assert_sound(store: &Store) {
    let answer: String = store
        .connection()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(answer, "ok");
}

#[test]
fn a_finished_trial_is_found_again() {
    let (_folder, path) = new_store();
    let store = Store::open(&path).unwrap();
    let run = store.begin_run("thalweg compare").unwrap();
    let key = TrialKey::of(&spec(1)).unwrap();
    assert_eq!(store.trial::<Value>(&key).unwrap(), None);
    record(&store, run, 1);
    drop(store);
    assert_recorded(&Store::open(&path).unwrap(), 1);
}

#[test]
fn numbers_come_back_bit_for_bit() {
    let (_folder, path) = new_store();
    let store = Store::open(&path).unwrap();
    let run = store.begin_run("").unwrap();
    let mut stream = thalweg_kernels::random::Stream::new(0, "numbers", 0);
    let numbers: Vec<f64> = (0..20_000)
        .map(|_| stream.uniform() * 10_f64.powi(stream.below(40) as i32 - 20))
        .collect();
    let key = TrialKey::of(&"numbers").unwrap();
    store.record_trial(run, &key, &"numbers", &numbers).unwrap();
    assert_eq!(store.trial(&key).unwrap(), Some(numbers));
}

#[test]
fn the_first_outcome_of_a_trial_stays() {
    let (_folder, path) = new_store();
    let store = Store::open(&path).unwrap();
    let (first, second) = (
        store.begin_run("first").unwrap(),
        store.begin_run("second").unwrap(),
    );
    let key = TrialKey::of(&spec(1)).unwrap();
    record(&store, first, 1);
    record(&store, first, 1);
    store
        .record_trial(second, &key, &spec(1), &json!("another"))
        .unwrap();
    store.reuse_trial(second, &key).unwrap();
    assert_recorded(&store, 1);
    let trials: Vec<u32> = store.runs().unwrap().iter().map(|run| run.trials).collect();
    assert_eq!(trials, [1, 1]);
}

#[test]
fn a_trial_of_no_run_is_refused_whole() {
    let (_folder, path) = new_store();
    let store = Store::open(&path).unwrap();
    let key = TrialKey::of(&spec(1)).unwrap();
    assert!(store.record_trial(RunId(7), &key, &spec(1), &outcome(1)).is_err());
    assert_eq!(store.trial::<Value>(&key).unwrap(), None);
}

#[test]
fn an_outcome_of_another_form_is_an_error_that_names_the_trial() {
    let (_folder, path) = new_store();
    let store = Store::open(&path).unwrap();
    let run = store.begin_run("").unwrap();
    let key = TrialKey::of(&spec(1)).unwrap();
    record(&store, run, 1);
    let error = store.trial::<Vec<u8>>(&key).unwrap_err();
    assert!(error.to_string().contains(key.as_str()), "{error}");
}

#[test]
fn runs_tell_how_they_ended() {
    let (_folder, path) = new_store();
    let store = Store::open(&path).unwrap();
    for status in RunStatus::ALL {
        let run = store.begin_run(status.as_str()).unwrap();
        if status != RunStatus::Running {
            store.finish_run(run, status).unwrap();
        }
    }
    for run in store.runs().unwrap() {
        assert_eq!(run.command, run.status.as_str());
        assert_eq!(run.finished.is_none(), run.status == RunStatus::Running);
        assert!(run.started.ends_with('Z') && run.started.len() == "2026-01-01T00:00:00Z".len());
    }
}

#[test]
fn the_last_verdict_of_each_study_is_shown() {
    let (_folder, path) = new_store();
    let store = Store::open(&path).unwrap();
    store
        .record_verdict("z_loss", "inconclusive", &json!({"seeds": 3}))
        .unwrap();
    store.record_verdict("comp_sum", "holds", &json!({})).unwrap();
    store
        .record_verdict("z_loss", "does not hold", &json!({"seeds": 10}))
        .unwrap();
    let last: Vec<_> = store
        .last_verdicts()
        .unwrap()
        .into_iter()
        .map(|verdict| (verdict.slug, verdict.verdict, verdict.details))
        .collect();
    assert_eq!(
        last,
        [
            ("comp_sum".to_owned(), "holds".to_owned(), json!({})),
            (
                "z_loss".to_owned(),
                "does not hold".to_owned(),
                json!({"seeds": 10})
            ),
        ]
    );
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let (_folder, path) = new_store();
    drop(Store::open(&path).unwrap());
    let raw = Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", schema::VERSION + 1)
        .unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found, known } if found == known + 1));
    assert!(error.to_string().contains("newer thalweg"), "{error}");
}

#[test]
fn what_is_not_a_store_is_refused_and_left_alone() {
    let (_folder, path) = new_store();
    std::fs::write(&path, "label,x\n".repeat(1000)).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "label,x\n".repeat(1000));

    let (_folder, path) = new_store();
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE photos (id INTEGER)")
        .unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let nowhere = Path::new("/no/such/folder/runs.db");
    assert!(
        Store::open(nowhere)
            .unwrap_err()
            .to_string()
            .contains("/no/such/folder/runs.db")
    );
}

#[test]
fn threads_share_a_store() {
    let (_folder, path) = new_store();
    let store = Store::open(&path).unwrap();
    let run = store.begin_run("").unwrap();
    thread::scope(|scope| {
        for first in [0, 5, 10] {
            let store = &store;
            scope.spawn(move || (first..first + 10).for_each(|seed| record(store, run, seed)));
        }
    });
    (0..20).for_each(|seed| assert_recorded(&store, seed));
}

const WRITER: &str = "THALWEG_TEST_STORE_WRITER";

/// Starts another process that records the trials of `seeds`, printing each seed once it is recorded.
fn start_writer(path: &Path, seeds: std::ops::Range<u64>) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "store::tests::writer_process",
        ])
        .env(
            WRITER,
            format!("{} {} {}", seeds.start, seeds.end, path.display()),
        )
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn recorded_by(child: &mut Child) -> impl Iterator<Item = u64> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.filter_map(|line| line.ok()?.strip_prefix("recorded ")?.parse().ok())
}

#[test]
#[ignore = "the body of the processes that other tests start"]
fn writer_process() {
    let Ok(order) = std::env::var(WRITER) else {
        return;
    };
    let [first, last, path] = order.splitn(3, ' ').collect::<Vec<_>>()[..] else {
        panic!("{order}");
    };
    let store = Store::open(Path::new(path)).unwrap();
    let run = store.begin_run("writer").unwrap();
    for seed in first.parse().unwrap()..last.parse().unwrap() {
        record(&store, run, seed);
        println!("\nrecorded {seed}");
    }
    store.finish_run(run, RunStatus::Finished).unwrap();
}

#[test]
fn two_processes_lose_no_row() {
    // From an empty file each time: making the schema is the delicate moment.
    for _ in 0..4 {
        let (_folder, path) = new_store();
        // The ranges overlap, so that both also write the same trials.
        let mut children = [start_writer(&path, 0..40), start_writer(&path, 20..60)];
        for child in &mut children {
            assert_eq!(recorded_by(child).count(), 40);
            assert!(child.wait().unwrap().success());
        }
        let store = Store::open(&path).unwrap();
        assert_sound(&store);
        (0..60).for_each(|seed| assert_recorded(&store, seed));
        let runs = store.runs().unwrap();
        assert_eq!(runs.len(), 2);
        assert!(
            runs.iter()
                .all(|run| run.trials == 40 && run.status == RunStatus::Finished)
        );
    }
}

#[test]
fn a_killed_process_leaves_every_finished_trial() {
    let (_folder, path) = new_store();
    let mut next = 0;
    for kill_after in [1, 2, 3, 5, 8, 13, 4, 7, 6, 9] {
        let mut child = start_writer(&path, next..u64::MAX);
        let mut recorded = recorded_by(&mut child);
        next = recorded.nth(kill_after - 1).unwrap() + 1;
        thread::sleep(Duration::from_micros(137 * kill_after as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        // What it managed to say before it died counts as well.
        next = recorded.last().map_or(next, |seed| seed + 1);
        let store = Store::open(&path).unwrap();
        assert_sound(&store);
        (0..next).for_each(|seed| assert_recorded(&store, seed));
        assert_eq!(store.runs().unwrap().last().unwrap().status, RunStatus::Running);
    }
}
