//! The API document: its frame, and what holds for every operation.

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};

use super::error::{FieldProblem, Problem};

/// The finished document, as `/openapi.json` and `gatewright openapi` give it.
#[must_use]
pub fn document() -> OpenApi {
    complete(super::table().merge(super::health()).into_openapi())
}

/// Title, security scheme and shared shapes; the route table adds the paths.
pub(super) fn frame() -> OpenApi {
    #[derive(utoipa::OpenApi)]
    #[openapi(
        info(
            title = "Gatewright",
            description = "Sign-up, sign-in, sign-out, profile, sessions and JWTs for any backend.",
            license(name = "Apache-2.0", identifier = "Apache-2.0"),
        ),
        components(schemas(Problem, FieldProblem)),
        modifiers(&Bearer),
        tags(
            (name = "auth", description = "Accounts and sessions"),
            (name = "operation", description = "For whoever runs the server"),
        )
    )]
    struct Frame;
    Frame::openapi()
}

/// Adds the refusals that every operation can give.
pub(super) fn complete(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        let is_api = path.starts_with("/api/");
        for (operation, has_body) in operations(item) {
            let responses = &mut operation.responses.responses;
            let mut add = |status: &str, description: &str| {
                responses
                    .entry(status.to_owned())
                    .or_insert_with(|| RefOr::T(problem(description)));
            };
            add("414", "The URI is longer than 8 KiB");
            add("500", "A defect of the server; the log has the cause");
            if is_api {
                add(
                    "503",
                    "The database does not answer, or the hashing queue is full; `Retry-After` says when to come again",
                );
            }
            if has_body {
                add("408", "The body did not arrive within 15 seconds");
                add("413", "The body is larger than 64 KiB");
                add("415", "The body is not declared as `application/json`");
            }
            for response in responses.values_mut() {
                offer_problem_json(response);
            }
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&mut Operation, bool)> {
    let all = [&mut item.get, &mut item.post, &mut item.put];
    all.into_iter().flatten().map(|operation| {
        let has_body = operation.request_body.is_some();
        (operation, has_body)
    })
}

fn problem(description: &str) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    ResponseBuilder::new()
        .description(description)
        .content("application/json", content)
        .build()
}

/// A problem comes as `application/problem+json` too, for whoever asks.
fn offer_problem_json(response: &mut RefOr<Response>) {
    let RefOr::T(response) = response else { return };
    let is_problem = |content: &RefOr<Content>| {
        matches!(content, RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. })
            if schema.ref_location == "#/components/schemas/Problem")
    };
    let content = response.content.get("application/json");
    if let Some(problem) = content.filter(|content| is_problem(content)).cloned() {
        let name = "application/problem+json".to_owned();
        response.content.insert(name, problem);
    }
}

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.bearer_format = Some("JWT".into());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}
