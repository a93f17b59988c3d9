"""A study maps a function over a grid of parameters, resumably, on any executor.

====================  ==========================================================================================
``grid``              the verb `fl.study`: axes, checks, the labelled table
``adaptive``          the verb `fl.refine`: points chosen along a phase boundary
``keys``              what a study is: its definition, the key of each point, the random stream of each key
``blocks``            what a function may return, in the form in which it travels and is stored in shards
``worker``            what runs inside a thread, a process or a cluster's worker, points of one problem class side by side
``executors``         threads, processes, dask and MPI behind the interface of `concurrent.futures`
``driver``            the loop: submits, collects, retries, commits; the journal of what is under way
``store``             the folder: immutable shards, written whole or not at all
``table``             finished points in arrays, and the Dataset made of them
``report``            the points of a folder as a table, without their function, and as one self-contained HTML page
``from_toml``         studies described by a TOML file
====================  ==========================================================================================
"""
