//! The host's own title, stylesheet and logo.

use tower_api_token::ConfigError;

use crate::web::world::*;

const STYLE: &str = ":root { --accent: #5b2a86; }";
const LOGO: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 3\"/>";

async fn branded() -> World {
    let brand = |portal: tower_api_token::portal::Portal| {
        portal.title("Fruit & Co").stylesheet(STYLE).logo(LOGO).expect("an image")
    };
    World::with(brand).await
}

#[tokio::test]
async fn every_page_has_the_title_the_stylesheet_and_the_logo_of_the_host() {
    let world = branded().await;
    for (session, page) in
        [(ALICE, "/tokens"), (ALICE, "/tokens/edit"), (ROOT, "/tokens/admin"), (ALICE, "/tokens/x")]
    {
        let shown = world.get(session, page).await;
        assert!(shown.text.contains("<span>Fruit &#38; Co</span>"), "{page}: {}", shown.text);
        let sheets: Vec<_> = shown.text.split("<link rel=\"stylesheet\" href=\"").skip(1).collect();
        assert_eq!(sheets.len(), 2, "{page}: {}", shown.text);
        assert!(sheets[1].starts_with("/tokens/assets/host-"), "the host's comes last: {page}");
        assert_eq!(shown.text.matches("/tokens/assets/logo-").count(), 2, "{page}");
        assert!(!shown.text.contains("/assets/icon-"), "{page}");
    }
}

#[tokio::test]
async fn the_files_of_the_host_are_served_to_everybody_and_the_pages_load_nothing_else() {
    let world = branded().await;
    let profile = world.get(ALICE, "/tokens").await;
    let policy = profile.header("content-security-policy");
    assert!(policy.contains("style-src 'self'; script-src 'self'; img-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    for (start, kind, content) in [
        ("/tokens/assets/host-", "text/css; charset=utf-8", STYLE),
        ("/tokens/assets/logo-", "image/svg+xml", LOGO),
    ] {
        let rest = profile.between_text(start, "\"");
        let file = world.get(Session::Nobody, &format!("{start}{rest}")).await;
        assert_eq!((file.status.as_u16(), &*file.text), (200, content));
        assert_eq!(file.header("content-type"), kind);
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
        // Opened by its own address no script in it runs.
        let alone = file.header("content-security-policy");
        assert!(alone.starts_with("default-src 'none'; ") && alone.ends_with("; sandbox"));
    }
}

#[tokio::test]
async fn a_logo_is_an_image() {
    let portal = || async {
        let world = World::new().await;
        tower_api_token::portal::Portal::new(world.manager)
    };
    for image in [
        &b"\x89PNG\r\n\x1a\nrest"[..],
        b"\xff\xd8\xff\xe0rest",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"<svg/>",
        b"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<svg/>",
        b"<!-- Drawn by hand -->\n<svg/>",
    ] {
        assert!(portal().await.logo(image).is_ok(), "{}", image.escape_ascii());
    }
    for other in [
        &b""[..],
        b"\x89PNG",
        b"GIF89a",
        b"<html><svg/></html>",
        b"<!-- <html> -->",
        b"<?xml version=\"1.0\"?><html/>",
        b"\xff\xfe<\0s\0v\0g\0",
    ] {
        let refused = portal().await.logo(other).unwrap_err();
        assert_eq!(refused, ConfigError::PortalLogo, "{}", other.escape_ascii());
    }
}
