"""A study maps a function over a grid of parameters, resumably, on any executor.

====================  ==========================================================================================
``grid``              the verb `fl.study`: axes, checks, the labelled table
``adaptive``          the verb `fl.refine`: points chosen along a phase boundary
``keys``              what a study is: its definition, the key of each point, the random stream of each key
``blocks``            what a function may return, in the form in which it travels and is stored
``worker``            what runs inside a thread, a process or a cluster's worker
``executors``         threads, processes, dask and MPI behind the interface of `concurrent.futures`
``driver``            the loop: submits, collects, retries, commits
``store``             the folder: immutable shards, written whole or not at all
``journal``           which points a parent was busy with when it died
``table``             finished points in arrays, and the Dataset made of them
``report``            one self-contained HTML page
``batches``           points of one problem class, solved side by side
``collect``           the points of a folder as a table, without their function
``from_toml``         studies described by a TOML file
====================  ==========================================================================================
"""
