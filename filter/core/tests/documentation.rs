//! `docs/operations/metrics.md` lists the metrics that the filter defines.

#[cfg(test)]
mod documentation {
    use std::collections::BTreeSet;

    use filter_core::mock::MockProxy;

    const DOCUMENT: &str = include_str!("../../../docs/operations/metrics.md");

    /// Returns the names that the rows of the filter's table stand for, as the
    /// host is told them: `….form.plain` for a value of the label `form`.
    fn documented() -> BTreeSet<String> {
        let table = DOCUMENT.split("## Filter:").nth(1).unwrap().split("\n## ").next().unwrap();
        let rows = table.lines().filter(|line| line.starts_with("| `"));
        rows.flat_map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let metric = cells[1].trim_matches('`');
            let Some((name, labels)) = metric.trim_end_matches('}').split_once('{') else {
                return vec![metric.to_owned()];
            };
            // The meaning quotes the labels' values, those of the first label up to a semicolon.
            let labels: Vec<_> = labels.split(',').collect();
            let values = cells[4].splitn(labels.len(), ';');
            let values = values.map(|one| one.split('`').skip(1).step_by(2));
            let mut names = vec![name.to_owned()];
            for (label, values) in labels.into_iter().zip(values) {
                let values: Vec<_> = values.collect();
                let with = |name: &String| {
                    let name = name.clone();
                    values.iter().map(move |value| format!("{name}.{label}.{value}"))
                };
                names = names.iter().flat_map(with).collect();
            }
            names
        })
        .collect()
    }

    #[test]
    fn the_document_lists_every_metric_and_every_label_value() {
        let proxy = MockProxy::golden();
        let defined = proxy.host.state().metrics.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(documented(), defined);
    }
}
