"""The feature definitions that training, batch scoring and the service share.

``duration`` is absent on purpose: it is known only when the call is over. ``day`` and ``month`` would let the model
learn the calendar of one single year.
"""

from __future__ import annotations

from collections.abc import Sequence

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, PowerTransformer

BANDS = ("age", "balance")
COUNTS = ("campaign", "pdays", "previous")
CATEGORIES = ("job", "marital", "education", "default", "housing", "loan", "contact", "poutcome")
COLUMNS = (*BANDS, *COUNTS, *CATEGORIES)


def build(columns: Sequence[str]) -> ColumnTransformer:
    """Return an unfitted transformer from the raw ``columns`` to a dense numeric matrix.

    A missing number becomes the median, a missing or unseen category becomes all zeros: neither can stop a prediction.
    """

    def chosen(names: Sequence[str]) -> list[str]:
        return [name for name in names if name in columns]

    # Bands instead of splines: they cost 0.002 of log loss on the example, and the whole pipeline converts to ONNX.
    cut = KBinsDiscretizer(8, encode="onehot-dense", strategy="quantile", quantile_method="averaged_inverted_cdf")
    bands = [("fill", SimpleImputer(strategy="median")), ("cut", cut)]
    # Skewed counts, and pdays is -1 for "never contacted before": Yeo-Johnson takes both.
    counts = [("fill", SimpleImputer(strategy="median")), ("power", PowerTransformer())]
    return ColumnTransformer(
        [
            ("bands", Pipeline(bands), chosen(BANDS)),
            ("counts", Pipeline(counts), chosen(COUNTS)),
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), chosen(CATEGORIES)),
        ]
    )
