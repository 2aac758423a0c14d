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
            let Some((name, label)) = metric.trim_end_matches('}').split_once('{') else {
                return vec![metric.to_owned()];
            };
            // The meaning quotes the label's values.
            let values = cells[4].split('`').skip(1).step_by(2);
            values.map(|value| format!("{name}.{label}.{value}")).collect()
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
