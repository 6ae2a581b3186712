"""What we post to others, as the OpenAPI document says it (OpenAPI 3.1 §4.8.1, `webhooks`)."""

from __future__ import annotations

from litestar.openapi.spec import (
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    PathItem,
    RequestBody,
    Schema,
)

from crm.events import Kind

_JSON = "application/json"
_ID = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.UUID)
_ID_OR_NONE = Schema(one_of=[_ID, Schema(type=OpenAPIType.NULL)])
_HEADERS = {
    "webhook-id": "The id of the event; the same however often it comes.",
    "webhook-timestamp": "When this post was sent, in seconds since 1970.",
    "webhook-signature": "A signature by each secret that is good, with spaces between them.",
}
_EVENT = Schema(
    type=OpenAPIType.OBJECT,
    required=["type", "timestamp", "data"],
    properties={
        "type": Schema(
            type=OpenAPIType.STRING,
            enum=[each.value for each in Kind if each is not Kind.customer_looked],
        ),
        "timestamp": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME),
        "data": Schema(
            type=OpenAPIType.OBJECT,
            required=["id", "customer_id", "ref"],
            properties={
                "id": _ID,
                "customer_id": _ID_OR_NONE,
                "ref": _ID_OR_NONE,
                "acknowledge": Schema(
                    type=OpenAPIType.BOOLEAN,
                    description="That it was heeded is to be acknowledged.",
                ),
            },
        ),
    },
)
_ANSWER = Schema(
    type=OpenAPIType.OBJECT,
    properties={"acknowledged": Schema(type=OpenAPIType.STRING, description="The `webhook-id`.")},
)
TOLD = {
    "event": PathItem(
        post=Operation(
            operation_id="event",
            tags=["Webhooks"],
            summary="Hear what happened",
            description="After the Standard Webhooks specification; docs/webhooks.md.",
            parameters=[
                Parameter(
                    name=name,
                    param_in="header",
                    required=True,
                    description=words,
                    schema=Schema(type=OpenAPIType.STRING),
                )
                for name, words in _HEADERS.items()
            ],
            request_body=RequestBody(
                required=True, content={_JSON: OpenAPIMediaType(schema=_EVENT)}
            ),
            responses={
                "2XX": OpenAPIResponse(
                    description="Taken; with a body, acknowledged.",
                    content={_JSON: OpenAPIMediaType(schema=_ANSWER)},
                )
            },
        )
    )
}
