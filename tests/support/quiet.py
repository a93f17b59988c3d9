"""Studies without a progress bar, and their tables without what differs from run to run."""

import flowlimits as fl


def study(function, axes, **options):
    return fl.study(function, axes, progress=False, **options)


def without_provenance(table):
    return table.drop_attrs(deep=False)
