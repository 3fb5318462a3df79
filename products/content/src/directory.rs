//! What other products ask about templates.

use contracts::{BoxFuture, ContentApproval, ContentDirectory, ContentTemplate, Unavailable};
use kernel::Sid;

use crate::Content;
use crate::resource::KIND;
use crate::shelf;

impl ContentDirectory for Content {
    fn template(
        &self,
        account: Sid,
        content: Sid,
    ) -> BoxFuture<'_, Result<Option<ContentTemplate>, Unavailable>> {
        Box::pin(async move {
            let store = self.parts.store.account(account);
            let found = rest::load(&store, KIND, "", &content.to_string()).await;
            let Some(doc) = found.map_err(|error| Unavailable(error.to_string()))? else {
                return Ok(None);
            };
            let json = |field: &str| doc.fields.get(field).map_or("{}".into(), |v| v.to_string());
            Ok(Some(ContentTemplate {
                language: doc.text("language").unwrap_or_default().to_owned(),
                variables: json("variables"),
                types: json("types"),
                whatsapp: shelf::approval(&doc).map(|approval| ContentApproval {
                    name: approval.name,
                    category: approval.category,
                    status: approval.status.to_string(),
                }),
            }))
        })
    }
}
