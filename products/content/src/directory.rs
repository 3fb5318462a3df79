//! What other products ask about templates.

use contracts::{BoxFuture, ContentApproval, ContentDirectory, ContentTemplate, Unavailable};
use kernel::Sid;
use store::StoreError;

use crate::Content;
use crate::resource::KIND;
use crate::{sample, shelf};

impl ContentDirectory for Content {
    fn template(
        &self,
        account: Sid,
        content: Sid,
    ) -> BoxFuture<'_, Result<Option<ContentTemplate>, Unavailable>> {
        Box::pin(async move {
            let store = self.parts.store.account(account);
            let failed = |error: StoreError| Unavailable(error.to_string());
            let sid = content.to_string();
            let mut found = rest::load(&store, KIND, "", &sid).await.map_err(failed)?;
            if found.is_none()
                && sample::seed(&store, &self.parts.clock, &sid).await.map_err(failed)?
            {
                found = rest::load(&store, KIND, "", &sid).await.map_err(failed)?;
            }
            let Some(doc) = found else { return Ok(None) };
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
