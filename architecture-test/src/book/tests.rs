//! Books of a few files.

use std::path::PathBuf;

use super::*;

/// Returns a new folder that only this test uses.
fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("book-{name}-{}", std::process::id()));
    fs::remove_dir_all(&path).ok();
    path
}

#[test]
fn pages_keep_their_folders_and_what_they_name_is_copied() {
    let root = folder("pages");
    let page =
        "[b](../b/README.md#x) [b](../b) [c](../b/c.yaml) [d](../d/) [e](https://e.io/f.md)\n";
    write(&root.join("docs/SUMMARY.md"), "- [A](a.md)\n- [B](../b/README.md)\n").unwrap();
    write(&root.join("docs/a.md"), page).unwrap();
    for file in ["b/README.md", "b/c.yaml", "d/f.rs"] {
        write(&root.join(file), "text\n").unwrap();
    }
    let out = root.join("out");
    stage(&root, &out).unwrap();
    let staged = |file: &str| read(&out.join(file));
    assert_eq!(staged("SUMMARY.md").unwrap(), "- [A](docs/a.md)\n- [B](b/README.md)\n");
    let expected =
        "[b](../b/README.md#x) [b](../b/README.md) [c](../b/c.yaml) d [e](https://e.io/f.md)\n";
    assert_eq!(staged("docs/a.md").unwrap(), expected);
    assert_eq!(staged("b/c.yaml").unwrap(), "text\n");
    assert!(staged("d/f.rs").is_err());

    write(&root.join("b/README.md"), "[g](g.md)\n").unwrap();
    write(&root.join("b/g.md"), "text\n").unwrap();
    assert_eq!(
        stage(&root, &out),
        Err("b/README.md: b/g.md is not a page of docs/SUMMARY.md".into())
    );
    fs::remove_dir_all(&root).unwrap();
}

#[test]
fn links_to_files_and_anchors_that_do_not_exist_are_found() {
    let html = folder("links");
    let good = "<a href=\"b.html#x\"><a href=\"#y\" id=\"y\"><a href=\"https://c.io\">";
    write(
        &html.join("a.html"),
        &format!("{good}<a href=\"c.html\"><a href=\"b.html#z\"><img src=\"d.png\">"),
    )
    .unwrap();
    write(&html.join("b.html"), "<h1 id=\"x\">").unwrap();
    let broken = broken_links(&html).unwrap();
    let page = html.join("a.html");
    let expected =
        ["b.html#z", "c.html", "d.png"].map(|link| format!("{}: {link}", page.display()));
    assert_eq!(broken, expected);
    fs::remove_dir_all(&html).unwrap();
}
